//! The recording: what the story said, as a picture of a terminal that shows one step after the other.

/// The room for a character and for a line, in pixels.
const WIDTH: usize = 8;
const HEIGHT: usize = 20;
/// The longest line shown, in characters; longer ones are continued below.
const COLUMNS: usize = 100;
/// How long a step is shown, in seconds: to read it takes a while for each line.
const A_STEP: usize = 2;
const A_LINE: usize = 1;

/// The look, whatever the page around it looks like. Without animation the third step is shown.
const STYLE: &str = "\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d7dde4;white-space:pre}
.say{fill:#8fbcff;font-weight:bold} .run{fill:#fff;font-weight:bold} .warn{fill:#f2c55c}
g{opacity:0} #s2{opacity:1}
@media (prefers-reduced-motion:reduce){g{animation:none!important}}
";

/// The picture, an animated SVG.
pub fn svg(said: &[String]) -> String {
    let steps = steps(said);
    let lines = steps.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (COLUMNS * WIDTH + 40, lines * HEIGHT + 70);
    let seconds = |step: &Vec<String>| A_STEP + A_LINE * step.len();
    let all: usize = steps.iter().map(seconds).sum();
    let (mut style, mut body, mut begin) = (vec![STYLE.to_owned()], Vec::new(), 0);
    for (number, step) in steps.iter().enumerate() {
        // Hundredths of a percent, cut: each step ends where the next one begins.
        let percent =
            |second: usize| format!("{}.{:02}%", 100 * second / all, 10_000 * second / all % 100);
        let end = begin + seconds(step);
        style.push(format!(
            "@keyframes s{number}{{0%{{opacity:0}}{}{{opacity:1}}{}{{opacity:0}}}}\n\
             #s{number}{{animation:s{number} {all}s step-end infinite}}\n",
            percent(begin),
            percent(end),
        ));
        begin = end;
        body.push(format!("<g id=\"s{number}\">\n"));
        for (row, line) in step.iter().enumerate() {
            let class = match line.split(' ').next() {
                Some("#") => "say",
                Some("$") => "run",
                Some("Warning:") => "warn",
                _ => "",
            };
            let (y, line) = (60 + row * HEIGHT, escaped(line));
            body.push(format!("<text x=\"20\" y=\"{y}\" class=\"{class}\">{line}</text>\n"));
        }
        body.push("</g>\n".to_owned());
    }
    let (style, body) = (style.concat(), body.concat());
    let title = "A recording: rejob replaces a changed Job inside the client's own request";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n{style}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1b2028\"/>\n\
         <circle cx=\"22\" cy=\"22\" r=\"6\" fill=\"#e0655a\"/>\n\
         <circle cx=\"42\" cy=\"22\" r=\"6\" fill=\"#dba63f\"/>\n\
         <circle cx=\"62\" cy=\"22\" r=\"6\" fill=\"#58b368\"/>\n{body}</svg>\n"
    )
}

/// The lines of each step, without what differs from run to run.
fn steps(said: &[String]) -> Vec<Vec<String>> {
    let mut steps: Vec<Vec<String>> = Vec::new();
    for line in said.iter().filter(|line| !line.is_empty()) {
        if line.starts_with('#') || steps.is_empty() {
            steps.push(Vec::new());
        }
        let line: Vec<_> = line.split(' ').map(steady).collect();
        let line: Vec<_> = steady_run(&line.join(" ")).chars().collect();
        let parts = line.chunks(COLUMNS).map(|part| part.iter().collect::<String>());
        steps.last_mut().expect("a step").extend(parts.map(|part| part.trim_end().to_owned()));
    }
    steps
}

/// A word, where it is a uid or the name of a Pod with one like it.
fn steady(word: &str) -> String {
    let is_uid = word.len() == 36 && word.matches('-').count() == 4;
    if is_uid {
        return "6c1f…".to_owned();
    }
    match word.strip_prefix("nightly-") {
        Some(suffix) if suffix.len() == 5 => "nightly-x7k2p".to_owned(),
        _ => word.to_owned(),
    }
}

/// An Event's line, where the old run began and ended as in every recording.
fn steady_run(line: &str) -> String {
    let parts = || {
        let (before, run) = line.split_once(", began ")?;
        let (_, after) = run.split_once("; template hash ")?;
        Some(format!("{before}, began 2026-11-30T08:49:43Z, took 2s; template hash {after}"))
    };
    parts().unwrap_or_else(|| line.to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
