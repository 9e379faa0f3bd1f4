//! What others read about the chart: Artifact Hub, Rancher, Helm's search.

use base64::Engine as _;
use serde_json::Value;

use super::render::file;
use super::schema::{resolve, schema};

fn about() -> Value {
    serde_saphyr::from_str(&file("Chart.yaml")).expect("Chart.yaml is YAML")
}

#[test]
fn the_icon_is_the_file_beside_the_chart_and_needs_no_network() {
    let icon = about()["icon"].as_str().expect("an icon").to_owned();
    let data = icon.strip_prefix("data:image/svg+xml;base64,").expect("a data URL");
    let svg = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
    assert_eq!(String::from_utf8(svg).unwrap(), file("icon.svg"));
    assert!(icon.len() < 1000, "{}", icon.len());
}

#[test]
fn the_images_for_scanners_are_those_that_the_chart_runs() {
    let about = about();
    let images = about["annotations"]["artifacthub.io/images"].as_str().expect("images");
    let images: Value = serde_saphyr::from_str(images).expect("YAML");
    let names: Vec<_> = images.as_array().unwrap().iter().map(|image| &image["image"]).collect();
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let repository = values["image"]["repository"].as_str().unwrap();
    let version = about["appVersion"].as_str().unwrap();
    assert_eq!(names, [&Value::from(format!("{repository}:{version}"))]);
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let links = about["annotations"]["artifacthub.io/links"].as_str().expect("links");
    let links: Value = serde_saphyr::from_str(links).expect("YAML");
    for link in links.as_array().unwrap() {
        let url = link["url"].as_str().unwrap();
        let (_, path) = url.split_once("/main/").expect("a file of the repository");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(path.exists(), "{url}");
    }
}

/// The value and the schema's node at a path.
fn at<'a>(values: &'a Value, root: &'a Value, path: &str) -> (&'a Value, &'a Value) {
    path.split('.').fold((values, root), |(value, node), key| {
        (&value[key], resolve(root, &node["properties"][key]))
    })
}

#[test]
fn every_question_of_ranchers_form_is_about_a_value_and_has_its_default() {
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let root = schema();
    let form: Value = serde_saphyr::from_str(&file("questions.yaml")).expect("YAML");
    let questions = form["questions"].as_array().expect("questions");
    assert!(questions.len() > 10);
    for question in questions {
        let path = question["variable"].as_str().expect("a variable");
        let (default, node) = at(&values, &root, path);
        assert_eq!(question["default"], *default, "{path}");
        let kind = question["type"].as_str().unwrap();
        match kind {
            "enum" => {
                let options = &question["options"];
                // The kind of an issuer is open.
                assert!(node["enum"] == *options || node["enum"].is_null(), "{path}");
                assert!(options.as_array().unwrap().contains(default), "{path}");
            }
            "int" => {
                for (theirs, ours) in [("min", "minimum"), ("max", "maximum")] {
                    assert_eq!(question[theirs], node[ours], "{path}");
                }
            }
            "boolean" => assert_eq!(node["type"], "boolean", "{path}"),
            "string" | "secret" => assert_eq!(node["type"], "string", "{path}"),
            _ => panic!("{path} has the type {kind}, which Rancher does not know"),
        }
        if let Some(condition) = question["show_if"].as_str() {
            let (of, value) = condition.split_once('=').expect("a comparison");
            let (default, _) = at(&values, &root, of);
            assert!(!default.is_null(), "{path} is shown by {of}, which is no value");
            assert!(default.is_boolean() == (value == "true" || value == "false"), "{condition}");
        }
    }
}

#[test]
fn what_artifact_hub_reads_of_the_repository_leaves_releases_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/artifacthub-repo.yml");
    let text = std::fs::read_to_string(path).expect("charts/artifacthub-repo.yml");
    let repository: Value = serde_saphyr::from_str(&text).expect("YAML");
    let ignored = &repository["ignore"][0];
    assert_eq!(ignored["name"], about()["name"]);
    let pattern = ignored["version"].as_str().unwrap();
    assert!("0.2.0-rc.1".contains(pattern) && !"0.2.0".contains(pattern), "{pattern}");
}
