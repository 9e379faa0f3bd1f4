//! docs/cli: one page a subcommand, made from the command line itself.
//!
//! `UPDATE_DOCS=1 cargo test --test program cli_docs` writes the pages; without it a stale page fails.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use rejob::cli::Cli;

#[test]
fn the_pages_are_what_the_command_line_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli");
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let pages = pages();
    if update {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in &pages {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    for (name, text) in &pages {
        let present = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            present == *text,
            "docs/cli/{name} is stale: UPDATE_DOCS=1 cargo test --test program cli_docs"
        );
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains_key(&name), "docs/cli/{name} belongs to no subcommand: delete it");
    }
}

fn pages() -> BTreeMap<String, String> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut index =
        format!("# rejob\n\n{}\n\n| command | what it does |\n|---|---|\n", about(&command));
    let mut pages = BTreeMap::new();
    for sub in command.get_subcommands() {
        let name = sub.get_name();
        let short = sub.get_about().unwrap_or_default();
        writeln!(index, "| [`rejob {name}`]({name}.md) | {short} |").unwrap();
        let mut page = String::new();
        section(&mut page, sub, "#");
        pages.insert(format!("{name}.md"), page);
    }
    pages.insert("README.md".to_owned(), index);
    pages
}

fn section(page: &mut String, command: &Command, heading: &str) {
    let name = command.get_bin_name().unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    writeln!(page, "{heading} {name}\n\n{}\n\n```text\n{usage}\n```", about(command)).unwrap();
    let arguments: Vec<_> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    let shown = |arg: &&&Arg| !matches!(arg.get_id().as_str(), "help" | "version");
    if arguments.iter().any(|arg| shown(&arg)) {
        page.push_str("\n| argument | variable | default | meaning |\n|---|---|---|---|\n");
        for arg in arguments.iter().filter(shown) {
            row(page, arg);
        }
    }
    for sub in command.get_subcommands() {
        page.push('\n');
        section(page, sub, &format!("{heading}#"));
    }
}

fn row(page: &mut String, arg: &Arg) {
    let value = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name);
    let takes_value = arg.get_action().takes_values();
    let name = match arg.get_long() {
        Some(long) if takes_value => format!("`--{long} {value}`"),
        Some(long) => format!("`--{long}`"),
        None => format!("`{value}`"),
    };
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if takes_value && !arg.is_hide_default_value_set() {
        defaults.join(" ")
    } else {
        String::new()
    };
    let mut meaning = one_line(
        &arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default(),
    );
    let values: Vec<_> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_value && !values.is_empty() {
        write!(meaning, " ({})", values.join(", ")).unwrap();
    }
    let variable = code(&variable.unwrap_or_default());
    writeln!(
        page,
        "| {name} | {variable} | {} | {} |",
        code(&default),
        meaning.replace('|', "\\|")
    )
    .unwrap();
}

fn about(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
