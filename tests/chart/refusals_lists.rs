//! What Kubernetes asks of the entries of lists is asked before anything is sent, and what stands
//! beside the chart's own arguments and variables does not repeat them.

use clap::CommandFactory;

use super::refusals::{refused, renders};
use super::render::{ci_names, ci_objects, file, the};

#[test]
fn match_expressions_have_values_where_their_operator_takes_some() {
    let values = [
        ("webhook.namespaceMatchExpressions", "webhook: {namespaceMatchExpressions: [EXPRESSION]}"),
        (
            "networkPolicy.webhookFrom.podSelector",
            "networkPolicy: {webhookFrom: [{podSelector: {matchExpressions: [EXPRESSION]}}]}",
        ),
        (
            "networkPolicy.metricsFrom.namespaceSelector",
            "networkPolicy: {metricsFrom: [{namespaceSelector: {matchExpressions: [EXPRESSION]}}]}",
        ),
    ];
    for (value, text) in values {
        for operator in ["In", "NotIn"] {
            for none in ["", ", values: []"] {
                let expression = format!("{{key: team, operator: {operator}{none}}}");
                let sentence =
                    format!("{value} has the key team with the operator {operator} and no values");
                refused(&text.replace("EXPRESSION", &expression), &[&sentence]);
            }
            renders(&text.replace(
                "EXPRESSION",
                &format!("{{key: team, operator: {operator}, values: [a, '']}}"),
            ));
        }
        for operator in ["Exists", "DoesNotExist"] {
            let expression = format!("{{key: team, operator: {operator}, values: [a]}}");
            let sentence =
                format!("{value} has the key team with the operator {operator} and values");
            refused(&text.replace("EXPRESSION", &expression), &[&sentence]);
            renders(&text.replace("EXPRESSION", &format!("{{key: team, operator: {operator}}}")));
        }
    }
}

#[test]
fn a_peer_is_a_block_or_a_selection() {
    for list in ["webhookFrom", "metricsFrom"] {
        for selector in ["podSelector", "namespaceSelector"] {
            refused(
                &format!(
                    "networkPolicy: {{{list}: [{{ipBlock: {{cidr: 10.0.0.0/8}}, {selector}: {{}}}}]}}"
                ),
                &[
                    &format!("networkPolicy.{list} has a peer with an ipBlock and a selector"),
                    "two peers",
                ],
            );
        }
        renders(&format!(
            "networkPolicy: {{{list}: [{{podSelector: {{}}, namespaceSelector: {{}}}}]}}"
        ));
    }
}

#[test]
fn a_block_begins_with_its_first_address_and_is_without_a_part_of_itself() {
    let values = |cidr: &str, except: &str| {
        format!(
            "networkPolicy: {{metricsFrom: [{{ipBlock: {{cidr: '{cidr}', except: [{except}]}}}}]}}"
        )
    };
    for (cidr, except, block) in [
        ("10.0.0.1/8", "", "10.0.0.1/8"),
        ("192.168.4.0/21", "", "192.168.4.0/21"),
        ("10.0.0.0/8", "10.1.0.1/31", "10.1.0.1/31"),
    ] {
        let sentence =
            format!("networkPolicy.metricsFrom has the block {block}, whose address goes on");
        refused(&values(cidr, except), &[&sentence]);
    }
    for (cidr, except) in [
        ("10.0.0.0/8", "11.0.0.0/9"),
        ("10.0.0.0/8", "9.255.255.255/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/16", "10.0.0.0/8"),
        ("10.0.0.0/8", "fd00::/9"),
        ("fd00::/8", "fd00::/8"),
    ] {
        let sentence = format!("has the block {cidr} without {except}, which is no part of it");
        refused(&values(cidr, &format!("'{except}'")), &[&sentence]);
    }
    renders(&values("0.0.0.0/0", "10.0.0.0/8, 255.255.255.255/32"));
    renders(&values("192.168.8.0/21", "192.168.15.255/32"));
    renders(&values("fd00::/8", "'fd00:1::/32'"));
}

#[test]
fn a_toleration_is_one_that_kubernetes_takes() {
    for (toleration, sentence) in [
        (
            "{value: a}",
            "tolerations has an entry with the key \"\" and an operator that is not Exists",
        ),
        ("{operator: Equal}", "and an operator that is not Exists"),
        ("{key: a, operator: Exists, value: b}", "the key \"a\", the operator Exists and a value"),
        (
            "{key: a, tolerationSeconds: 5}",
            "tolerationSeconds, which go with the effect NoExecute only",
        ),
        ("{key: a, effect: NoSchedule, tolerationSeconds: 0}", "the effect NoExecute only"),
    ] {
        refused(&format!("tolerations: [{toleration}]"), &[sentence]);
    }
    renders(
        "tolerations: [{operator: Exists}, {key: a}, {key: a, value: b, effect: NoExecute, tolerationSeconds: 5}]",
    );
}

#[test]
fn an_argument_that_the_chart_sets_is_not_repeated() {
    refused(
        "server: {extraArgs: [--log-level, debug]}",
        &["server.extraArgs has --log-level, which the chart sets itself: use server.logLevel"],
    );
    refused(
        "server: {extraArgs: [--client-ca=/a]}",
        &[
            "server.extraArgs has --client-ca, which the chart sets itself: use certificates.clientCA",
        ],
    );
    refused(
        "server: {extraArgs: [--max-connections=5, --max-connections=6]}",
        &["server.extraArgs has --max-connections twice"],
    );
    renders("server: {extraArgs: [--max-connections, '5', --idle-timeout=1m]}");
}

#[test]
fn an_argument_that_the_server_would_not_take_is_refused() {
    for (args, sentence) in [
        ("[foo]", "server.extraArgs has \"foo\", which is no flag"),
        ("[-h]", "server.extraArgs has \"-h\", which is no flag"),
        ("[--idle-timeout=1m, foo]", "server.extraArgs has \"foo\", which is no flag"),
        ("[--nope=1]", "server.extraArgs has --nope, which rejob serve does not know"),
    ] {
        refused(&format!("server: {{extraArgs: {args}}}"), &[sentence]);
    }
}

/// The flags of `rejob.freeFlags` in the template.
fn free_flags() -> Vec<String> {
    let text = file("templates/_validate_lists.tpl");
    let block = text.split("{{- define \"rejob.freeFlags\" -}}\n").nth(1).expect("the flags");
    block.lines().next().unwrap().split(' ').map(str::to_owned).collect()
}

#[test]
fn the_flags_of_the_server_are_the_charts_or_free() {
    let cli = rejob::cli::Cli::command();
    let serve = cli.find_subcommand("serve").expect("serve");
    let all: std::collections::BTreeSet<_> =
        serve.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
    let known: std::collections::BTreeSet<_> = flags().into_iter().chain(free_flags()).collect();
    assert_eq!(all.difference(&known).collect::<Vec<_>>(), [] as [&String; 0]);
    assert_eq!(known.difference(&all).collect::<Vec<_>>(), [] as [&String; 0]);
}

/// The flags of `rejob.flags` in the template.
fn flags() -> Vec<String> {
    let text = file("templates/_validate_lists.tpl");
    let block = text.split("{{- define \"rejob.flags\" -}}\n").nth(1).expect("the flags");
    let lines = block.split("{{- end }}").next().unwrap().lines();
    lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn the_flags_that_are_the_charts_are_all_that_it_sets_and_all_are_the_servers() {
    let own = flags();
    for name in ci_names() {
        let objects = ci_objects(&name);
        let container = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        for arg in container["args"].as_array().unwrap().iter().skip(1) {
            let flag = arg
                .as_str()
                .unwrap()
                .split('=')
                .next()
                .unwrap()
                .trim_start_matches("--")
                .to_owned();
            assert!(own.contains(&flag), "{name}: {flag} may be repeated");
        }
    }
    let cli = rejob::cli::Cli::command();
    let serve = cli.find_subcommand("serve").expect("serve");
    let known: Vec<_> = serve.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(own.iter().all(|flag| known.contains(&flag.as_str())), "{own:?} {known:?}");
}

#[test]
fn a_variable_that_the_chart_sets_or_overrides_is_refused() {
    for (variable, sentence) in [
        (
            "{name: POD_NAMESPACE, value: a}",
            "server.extraEnv has POD_NAMESPACE, which the chart sets itself",
        ),
        (
            "{name: REJOB_LOG_LEVEL, value: debug}",
            "a variable for a flag that the chart sets itself, REJOB_LOG_LEVEL: use server.logLevel",
        ),
        ("{name: A, value: b}, {name: A}", "server.extraEnv has A twice"),
        (
            "{name: A, value: b, valueFrom: {fieldRef: {fieldPath: metadata.name}}}",
            "server.extraEnv has A with a value and a valueFrom",
        ),
    ] {
        refused(&format!("server: {{extraEnv: [{variable}]}}"), &[sentence]);
    }
    renders(
        "server: {extraEnv: [{name: REJOB_MAX_CONNECTIONS, value: '5'}, {name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]}",
    );
}

#[test]
fn the_annotation_that_replaces_the_pods_is_the_charts() {
    refused(
        "podAnnotations: {checksum/policies: a}",
        &["podAnnotations has checksum/policies, which the chart sets itself"],
    );
}
