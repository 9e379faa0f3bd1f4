//! What holds for every object the chart renders, whatever the values.

use clap::Parser;
use serde_json::{Value, json};

use super::render::{ci_names, ci_objects, objects_with, of_kind, the};
use support::webhooks::{ASKS_FOR_A_RERUN, IS_DORMANT};

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub fn webhooks(objects: &[Value]) -> Vec<&Value> {
    the(objects, "MutatingWebhookConfiguration")["webhooks"]
        .as_array()
        .expect("webhooks")
        .iter()
        .collect()
}

/// The entries of policies.
fn of_policies(objects: &[Value]) -> Vec<&Value> {
    webhooks(objects).into_iter().filter(|webhook| !is_own(webhook)).collect()
}

/// The entry for dormant Jobs.
const DORMANT: &str = "dormant.rejob.dev";
/// The entry for changes of `rejob.dev/rerun`.
const RERUN: &str = "rerun.rejob.dev";

/// Whether it is an entry of rejob's own, and no policy's.
fn is_own(webhook: &Value) -> bool {
    webhook["name"] == DORMANT || webhook["name"] == RERUN
}

/// The condition of an entry that is not called while rejob is paused.
pub fn paused() -> Value {
    json!({ "name": "paused", "expression": "false" })
}

pub fn pod(objects: &[Value]) -> &Value {
    &the(objects, "Deployment")["spec"]["template"]["spec"]
}

pub fn args(objects: &[Value]) -> Vec<&str> {
    strings(&pod(objects)["containers"][0]["args"])
}

/// The policies that the rendered ConfigMap gives the server.
pub fn policies(objects: &[Value]) -> rejob::policy::PolicySet {
    let maps = of_kind(objects, "ConfigMap");
    let text =
        maps.iter().find_map(|map| map["data"]["policies.yaml"].as_str()).expect("policies.yaml");
    rejob::policy_file::parse(text, "policies.yaml").expect("policies that the server reads")
}

#[test]
fn there_is_one_webhook_for_each_policy_the_server_has() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let policies = policies(&objects);
        let webhooks = of_policies(&objects);
        let names: Vec<_> =
            webhooks.iter().map(|w| w["name"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<_> =
            policies.names().map(|policy| format!("{policy}.rejob.dev")).collect();
        assert_eq!(names, expected, "{name}");
        for (webhook, (policy, knobs)) in webhooks.iter().zip(policies.iter()) {
            let selector = &webhook["namespaceSelector"]["matchExpressions"];
            let opts_in =
                json!({ "key": "rejob.dev/policy", "operator": "In", "values": [policy] });
            assert_eq!(selector[0], opts_in, "{name}");
            let reinvocation = if knobs.checks() { "Never" } else { "IfNeeded" };
            assert_eq!(webhook["reinvocationPolicy"], reinvocation, "{name} {policy}");
            assert_eq!(webhook["sideEffects"], "NoneOnDryRun");
            assert_eq!(webhook["matchPolicy"], "Equivalent");
            assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
            let rule = json!([{
                "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
            }]);
            assert_eq!(webhook["rules"], rule);
            assert!(webhook["matchConditions"].as_array().unwrap().len() <= 64);
        }
    }
}

#[test]
fn the_default_values_are_the_built_in_policies() {
    assert_eq!(policies(&ci_objects("default")), rejob::policy::PolicySet::builtin());
}

#[test]
fn the_webhook_defaults_are_those_of_the_design() {
    let objects = ci_objects("default");
    for webhook in webhooks(&objects) {
        assert_eq!(webhook["failurePolicy"], if is_own(webhook) { "Fail" } else { "Ignore" });
        assert_eq!(webhook["timeoutSeconds"], 10);
        assert_eq!(webhook["reinvocationPolicy"], "Never");
    }
}

#[test]
fn changes_of_dormant_jobs_have_an_entry_of_their_own_that_fails_closed() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let entry = webhooks(&objects).into_iter().find(|webhook| webhook["name"] == DORMANT);
        assert_eq!(entry.is_some(), policies(&objects).replaces(), "{name}");
        let Some(entry) = entry else { continue };
        assert_eq!(entry["failurePolicy"], "Fail", "{name}");
        assert_eq!(entry["sideEffects"], "NoneOnDryRun");
        assert_eq!(entry["rules"][0]["operations"], json!(["UPDATE"]));
        let labeled = json!([{ "key": "rejob.dev/dormant", "operator": "Exists" }]);
        assert_eq!(entry["objectSelector"]["matchExpressions"], labeled);
        // Whatever the namespace opts in to by then.
        let first = &of_policies(&objects)[0]["namespaceSelector"]["matchExpressions"];
        let others: Vec<_> = first.as_array().unwrap()[1..].to_vec();
        assert_eq!(entry["namespaceSelector"]["matchExpressions"], json!(others), "{name}");
        // Each change is asked about once: here, or in the policy's entry.
        let dormant = &entry["matchConditions"][1];
        assert_eq!(dormant["name"], "dormant");
        assert_eq!(dormant["expression"], IS_DORMANT, "{name}: other tests have another one");
        let not = format!("!({})", dormant["expression"].as_str().unwrap());
        for webhook in of_policies(&objects) {
            let conditions = webhook["matchConditions"].as_array().unwrap();
            let asked = |one: &Value| one["expression"] == not.as_str() || *one == paused();
            assert!(conditions.iter().any(asked), "{name}");
        }
    }
}

#[test]
fn changes_of_the_rerun_annotation_have_an_entry_of_their_own_that_fails_closed() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let policies = policies(&objects);
        let entry = webhooks(&objects).into_iter().find(|webhook| webhook["name"] == RERUN);
        assert_eq!(entry.is_some(), policies.replaces(), "{name}");
        let Some(entry) = entry else { continue };
        assert_eq!(entry["failurePolicy"], "Fail", "{name}");
        assert_eq!(entry["sideEffects"], "NoneOnDryRun");
        assert_eq!(entry["rules"][0]["operations"], json!(["UPDATE"]));
        // In the namespaces of all policies, and in no others.
        let own = &entry["namespaceSelector"]["matchExpressions"];
        assert_eq!(own[0]["key"], "rejob.dev/policy");
        assert_eq!(own[0]["values"], json!(policies.names().collect::<Vec<_>>()), "{name}");
        let first = &of_policies(&objects)[0]["namespaceSelector"]["matchExpressions"];
        assert_eq!(own.as_array().unwrap()[1..], first.as_array().unwrap()[1..], "{name}");
        if entry["matchConditions"] == json!([paused()]) {
            continue;
        }
        // Under the same conditions as a policy's entry, and each change is asked about once.
        let mut conditions = entry["matchConditions"].as_array().unwrap().clone();
        let last = conditions.last_mut().unwrap();
        assert_eq!(last["expression"], ASKS_FOR_A_RERUN, "{name}: other tests have another one");
        *last = json!({ "name": "not-a-rerun", "expression": format!("!({ASKS_FOR_A_RERUN})") });
        for webhook in of_policies(&objects) {
            let theirs = webhook["matchConditions"].as_array().unwrap();
            assert_eq!(theirs[..conditions.len()], conditions, "{name}");
        }
    }
}

#[test]
fn kube_system_and_the_namespace_of_the_release_never_opt_in() {
    for name in ci_names() {
        for webhook in webhooks(&ci_objects(&name)) {
            let requirements = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
            let excluded = requirements
                .iter()
                .find(|r| r["key"] == "kubernetes.io/metadata.name" && r["operator"] == "NotIn");
            let excluded = strings(&excluded.expect("a NotIn")["values"]);
            assert!(excluded.contains(&"kube-system") && excluded.contains(&"rejob"), "{name}");
        }
    }
    // Requirements of the user's are added to it; all of them must hold.
    let objects = objects_with(
        "webhook: {namespaceMatchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [kube-system]}]}",
    );
    let requirements = &webhooks(&objects)[0]["namespaceSelector"]["matchExpressions"];
    assert_eq!(requirements[1]["operator"], "NotIn");
    assert_eq!(requirements[2]["operator"], "In");
}

#[test]
fn the_configuration_is_called_before_those_of_other_webhooks() {
    for (values, name) in [
        ("{}", "00-rejob"),
        ("fullnameOverride: rejob-canary", "00-rejob-canary"),
        ("fullnameOverride: jobs", "00-rejob-jobs"),
    ] {
        let objects = objects_with(values);
        let configuration = &the(&objects, "MutatingWebhookConfiguration")["metadata"]["name"];
        assert_eq!(configuration, name);
        let flag = format!("--webhook-configuration={name}");
        assert!(args(&objects).contains(&flag.as_str()));
    }
}

#[test]
fn the_server_writes_ca_and_path_where_it_keeps_them_and_the_chart_does_not() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let keeps = ["--cert-secret=", "--token-secret="];
        let token = args(&objects).iter().any(|arg| keeps.iter().any(|flag| arg.starts_with(flag)));
        for webhook in webhooks(&objects) {
            let policy = webhook["name"].as_str().unwrap().strip_suffix(".rejob.dev").unwrap();
            let client = &webhook["clientConfig"];
            assert!(client.get("caBundle").is_none(), "{name}");
            if let Some(url) = client["url"].as_str() {
                assert!(client.get("service").is_none(), "{name}");
                assert!(url.ends_with(&format!("/v1/policies/{policy}")), "{url}");
                continue;
            }
            let service = &client["service"];
            assert_eq!(service["name"], the(&objects, "Service")["metadata"]["name"]);
            assert_eq!(service["port"], 443);
            let path = (!token).then(|| json!(format!("/v1/policies/{policy}")));
            assert_eq!(service.get("path").cloned(), path, "{name} {policy}");
        }
        assert!(of_kind(&objects, "Secret").is_empty(), "{name}");
    }
}

#[test]
fn a_set_of_policies_that_needs_no_api_gets_no_token_and_no_rights() {
    let objects = ci_objects("patch-only");
    assert_eq!(pod(&objects)["automountServiceAccountToken"], false);
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "FlowSchema"] {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
    assert_eq!(the(&objects, "NetworkPolicy")["spec"]["egress"], json!([]));
    assert_eq!(pod(&ci_objects("default"))["automountServiceAccountToken"], true);
}

/// The rights of a rendered chart: `scope group/resource[names] verbs`, sorted.
pub fn rights(objects: &[Value]) -> Vec<String> {
    let roles = objects.iter().filter(|o| o["kind"] == "ClusterRole" || o["kind"] == "Role");
    let mut rights: Vec<_> = roles
        .flat_map(|role| {
            let scope = role["metadata"]["namespace"].as_str().unwrap_or("*").to_owned();
            role["rules"].as_array().unwrap().iter().map(move |rule| {
                let (groups, resources) =
                    (strings(&rule["apiGroups"]), strings(&rule["resources"]));
                let names = strings(&rule["resourceNames"]);
                format!(
                    "{scope} {}/{}{names:?} {}",
                    groups.join(","),
                    resources.join(","),
                    strings(&rule["verbs"]).join(",")
                )
            })
        })
        .collect();
    rights.sort();
    rights
}

pub const JOBS: &str = "batch/jobs[] get,list,create,delete";

#[test]
fn the_rights_are_those_of_the_design_and_no_others() {
    let expected = [
        "* /events[] create".to_owned(),
        "* /namespaces[] get".to_owned(),
        "* /pods[] list".to_owned(),
        "* admissionregistration.k8s.io/mutatingwebhookconfigurations[\"00-rejob\"] get,patch"
            .to_owned(),
        "* authorization.k8s.io/subjectaccessreviews[] create".to_owned(),
        format!("* {JOBS}"),
        "rejob /secrets[\"rejob-tls\"] get,patch".to_owned(),
        "rejob /secrets[] create".to_owned(),
    ];
    assert_eq!(rights(&ci_objects("default")), expected);
    // Without self-made certificates: no Secret, and nothing is written into the configuration.
    let others = expected.iter().filter(|right| !right.contains("/secrets"));
    let others: Vec<_> = others.map(|right| right.replace("get,patch", "get")).collect();
    assert_eq!(rights(&ci_objects("cert-manager-issuer")), others);
    assert_eq!(rights(&ci_objects("provided-url")), others);
    // A path token takes a Secret of its own, and patch of the configuration.
    let token: Vec<_> =
        expected.iter().map(|right| right.replace("rejob-tls", "rejob-token")).collect();
    assert_eq!(rights(&ci_objects("cert-manager")), token);
}

#[test]
fn rights_and_webhook_can_be_limited_to_namespaces() {
    let objects = ci_objects("namespaces");
    let rights = rights(&objects);
    for namespace in ["batch", "reports"] {
        assert!(rights.contains(&format!("{namespace} {JOBS}")), "{rights:?}");
        assert!(rights.contains(&format!("{namespace} /events[] create")));
        assert!(rights.contains(&format!("{namespace} /namespaces[] get")));
    }
    let cluster: Vec<_> = rights.iter().filter(|right| right.starts_with("* ")).collect();
    assert_eq!(cluster.len(), 2, "{cluster:?}");
    assert!(cluster[0].ends_with("mutatingwebhookconfigurations[\"00-rejob\"] get,patch"));
    let only = json!({ "key": "kubernetes.io/metadata.name", "operator": "In", "values": ["batch", "reports"] });
    for webhook in webhooks(&objects) {
        assert!(
            webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap().contains(&only)
        );
    }
}

#[test]
fn the_path_of_every_mounted_file_is_the_one_the_server_is_told() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let container = &pod(&objects)["containers"][0];
        let mounts: Vec<_> = container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["mountPath"].as_str().unwrap())
            .collect();
        for flag in ["--policies=", "--tls-cert=", "--tls-key=", "--client-ca="] {
            for path in args(&objects).iter().filter_map(|arg| arg.strip_prefix(flag)) {
                let mounted =
                    |mount: &&str| path == *mount || path.starts_with(&format!("{mount}/"));
                assert!(mounts.iter().any(mounted), "{name}: {path} is not in {mounts:?}");
            }
        }
    }
}

#[test]
fn the_ttl_is_native_only_where_it_is_asked_for() {
    assert!(of_kind(&ci_objects("default"), "MutatingAdmissionPolicy").is_empty());
    let objects = ci_objects("native-ttl");
    let native = of_kind(&objects, "MutatingAdmissionPolicy");
    let names: Vec<_> =
        native.iter().map(|policy| policy["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["hash-name.ttl.rejob.rejob.dev", "sweep.ttl.rejob.rejob.dev", "ttl.ttl.rejob.rejob.dev"]
    );
    assert_eq!(of_kind(&objects, "MutatingAdmissionPolicyBinding").len(), 3);
    // A policy that does nothing else calls rejob only for Jobs with an annotation of rejob's.
    let conditions = |policy: &str| {
        let webhooks = webhooks(&objects);
        let webhook = webhooks.iter().find(|w| w["name"] == format!("{policy}.rejob.dev")).unwrap();
        webhook["matchConditions"].as_array().unwrap().len()
    };
    assert_eq!(conditions("sweep"), conditions("ttl") + 1);
}

#[test]
fn the_server_understands_every_argument_it_is_given() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let line = std::iter::once("rejob").chain(args(&objects));
        let cli =
            rejob::cli::Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{name}: {error}"));
        let rejob::cli::Command::Serve(mut serve) = cli.command else {
            panic!("{name}: not serve")
        };
        let namespace = &pod(&objects)["containers"][0]["env"][0];
        assert_eq!(namespace["name"], "POD_NAMESPACE");
        assert_eq!(namespace["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
        serve.certs.pod_namespace = Some("rejob".to_owned());
        let source = serve.certs.source().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_ne!(source, rejob::certs::Source::InMemory, "{name}");
        let patience = pod(&objects)["terminationGracePeriodSeconds"].as_u64().unwrap();
        let sleep = pod(&objects)["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
            .as_u64()
            .unwrap();
        let drain = serve.limits.drain_grace + serve.limits.drain_timeout;
        assert!(sleep + drain.as_secs() < patience, "{name}: the kubelet kills it while it drains");
    }
}

#[test]
fn whoever_the_api_server_leaves_out_the_server_leaves_alone_too() {
    let objects = ci_objects("default");
    let condition = &webhooks(&objects)[0]["matchConditions"][0];
    assert_eq!(condition["name"], "not-from-the-control-plane");
    let users: Vec<_> =
        condition["expression"].as_str().unwrap().split('\'').skip(1).step_by(2).collect();
    let controllers = rejob::decide::BUILT_IN_CONTROLLERS
        .iter()
        .map(|name| format!("system:serviceaccount:kube-system:{name}"));
    let expected: Vec<_> = std::iter::once("system:serviceaccount:rejob:rejob".to_owned())
        .chain(rejob::decide::SYSTEM_USERS.map(str::to_owned))
        .chain(controllers)
        .collect();
    assert_eq!(users, expected);
}
