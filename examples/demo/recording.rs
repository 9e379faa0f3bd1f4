//! The recording: what the story said, as a picture of a terminal that shows one step after the other.

use std::fmt::Write;

/// The size of a character and of a line, in pixels.
const WIDTH: f64 = 7.8;
const HEIGHT: usize = 20;
/// The longest line shown, in characters; longer ones are continued below.
const COLUMNS: usize = 96;
/// How long a step is shown, in seconds: to read it takes a while for each line.
const SECONDS_A_STEP: usize = 2;
const SECONDS_A_LINE: usize = 1;

/// The picture, an animated SVG.
pub fn svg(said: &[String]) -> String {
    let steps = steps(said);
    let lines = steps.iter().map(Vec::len).max().unwrap_or(0);
    let width = (COLUMNS as f64 * WIDTH) as usize + 40;
    let height = lines * HEIGHT + 70;
    let seconds = |step: &Vec<String>| SECONDS_A_STEP + SECONDS_A_LINE * step.len();
    let all: usize = steps.iter().map(seconds).sum();
    let mut style = String::new();
    let mut body = String::new();
    let mut begin = 0;
    for (number, step) in steps.iter().enumerate() {
        let percent = |second: usize| 100.0 * second as f64 / all as f64;
        let (from, to) = (percent(begin), percent(begin + seconds(step)));
        begin += seconds(step);
        let before =
            if number == 0 { String::new() } else { format!("0%,{from:.2}%{{opacity:0}}") };
        let after = if begin == all {
            String::new()
        } else {
            format!("{:.2}%,100%{{opacity:0}}", to + 0.01)
        };
        writeln!(
            style,
            "@keyframes s{number}{{{before}{:.2}%,{to:.2}%{{opacity:1}}{after}}}\n\
             #s{number}{{animation:s{number} {all}s linear infinite}}",
            if number == 0 { 0.0 } else { from + 0.01 }
        )
        .expect("a String takes text");
        writeln!(body, "<g id=\"s{number}\">").expect("a String takes text");
        for (row, line) in step.iter().enumerate() {
            let class = match line.chars().next() {
                Some('#') => " class=\"say\"",
                Some('$') => " class=\"run\"",
                _ if line.starts_with("Warning") => " class=\"warn\"",
                _ => "",
            };
            let y = 60 + row * HEIGHT;
            writeln!(body, "<text x=\"20\" y=\"{y}\"{class}>{}</text>", escaped(line))
                .expect("a String takes text");
        }
        body.push_str("</g>\n");
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"rejob replaces a changed Job\">\n<style>\n\
         text{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d7dde4;white-space:pre}}\n\
         .say{{fill:#8fbcff;font-weight:bold}} .run{{fill:#ffffff;font-weight:bold}} .warn{{fill:#f2c55c}}\n\
         g{{opacity:0}} #s2{{opacity:1}}\n{style}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1b2028\" stroke=\"#4a5361\"/>\n\
         <circle cx=\"22\" cy=\"20\" r=\"6\" fill=\"#e0655a\"/><circle cx=\"42\" cy=\"20\" r=\"6\" \
         fill=\"#dba63f\"/><circle cx=\"62\" cy=\"20\" r=\"6\" fill=\"#58b368\"/>\n{body}</svg>\n"
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
        let line: Vec<_> = line.join(" ").chars().collect();
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
