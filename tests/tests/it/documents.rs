//! What the documentation shows is true: every configuration in it is good, and `reachback allow` says what stands there.

use std::{fs, path::Path};

use reachback_tests::{process::run, scratch::Scratch, tls};
use settings::Source;

const PAGES: [&str; 7] = [
    "README.md",
    "docs/configuration.md",
    "docs/errors.md",
    "docs/http.md",
    "docs/security.md",
    "docs/whitelist.md",
    "deploy/README.md",
];

fn read(page: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(top.join(page)).unwrap()
}

/// What stands between the fences of a page, with the word behind the first one.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = read(page);
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).map(|(kind, text)| (kind.to_owned(), text.to_owned())).collect()
}

/// What a block leaves out because it is about something else.
fn completed(yaml: &str) -> (bool, String) {
    let mut whole = yaml.to_owned();
    let has = |key: &str| format!("\n{yaml}").contains(&format!("\n{key}:"));
    let is_agent = ["gateways:", "allow:", "upstream:"].iter().any(|key| yaml.contains(key));
    if yaml.trim_start().starts_with("allow:") {
        let indented = if has("allow") { format!("    {}", yaml.replace('\n', "\n    ")) } else { yaml.to_owned() };
        whole = format!("services:\n  orders:\n    upstream: http://127.0.0.1:3000\n{indented}");
    }
    let agents = "agents: [ { name: a, token_file: warehouse-7.token, services: [ orders ] } ]";
    let token = "token_file: warehouse-7.token";
    let gateways = "gateways: [ ws://127.0.0.1:7100 ]";
    let services = "services: { orders: { upstream: http://127.0.0.1:3000, allow: [ GET / ] } }";
    let facades = "facades: [ { listen: 127.0.0.1:7080, service: orders } ]";
    let needed: &[_] = match is_agent {
        true => &[("gateways", gateways), ("services", services), ("token_file", token)],
        false => &[("listen", "listen: 127.0.0.1:7100"), ("facades", facades), ("agents", agents)],
    };
    let has = |key: &str| format!("\n{whole}").contains(&format!("\n{key}:"));
    let missing: String = needed.iter().filter(|(key, _)| !has(key)).map(|(_, line)| format!("{line}\n")).collect();
    (is_agent, missing + &whole)
}

/// Those of the manifests, which are indented blocks of text.
fn in_manifests() -> Vec<String> {
    let of = |side: &str| {
        let text = read(&format!("deploy/kubernetes/{side}.yaml"));
        let (_, data) = text.split_once(&format!("{side}.yaml: |\n")).unwrap();
        data.lines().map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect()
    };
    ["gateway", "agent"].map(of).into()
}

#[test]
fn configurations_are_good() {
    let folder = Scratch::new();
    let (certificate, key) = tls::identity();
    for name in ["orders", "gateway"] {
        folder.write(&format!("{name}.pem"), &certificate);
        folder.write(&format!("{name}.key"), &key);
    }
    folder.write("warehouse-7.token", "seven-0123456789abcdef");
    folder.write("warehouse-7.totp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    folder.write("proxy.credentials", "somebody:secret");
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    folder.write("cluster-a.json", keys);
    let shown = PAGES.iter().flat_map(|page| blocks(page)).filter(|(kind, _)| kind == "yaml").map(|(_, yaml)| yaml);
    let shown: Vec<String> = shown.chain(in_manifests()).collect();
    assert!(shown.len() >= 16, "the blocks were not found: {shown:#?}");
    for yaml in shown {
        let (is_agent, whole) = completed(&yaml);
        // The folder that comes with the service.
        let whole = whole.replace("/var/lib/reachback/", "");
        let source = Source::file("shown.yaml", &whole, folder.path());
        let found = match is_agent {
            true => agent::Config::from_source(&source).err(),
            false => gateway::Config::from_source(&source).err(),
        };
        assert!(found.is_none(), "{}\n{whole}", found.unwrap());
    }
}

#[tokio::test]
async fn asking_the_whitelist_gives_the_answers_that_are_shown() {
    let folder = Scratch::new();
    let agent = blocks("README.md").into_iter().find(|(_, text)| text.starts_with("# agent.yaml")).unwrap().1;
    folder.write("agent.yaml", &agent);
    folder.write("warehouse-7.token", "seven-0123456789abcdef");
    let file = folder.path().join("agent.yaml");
    let mut asked = 0;
    for (_, block) in PAGES.iter().flat_map(|page| blocks(page)) {
        for dialogue in format!("\n{block}").split("\n$ ").skip(1) {
            let (command, answer) = dialogue.split_once('\n').unwrap_or((dialogue, ""));
            let words: Vec<&str> = command.split(' ').collect();
            if !matches!(words[..], ["reachback", "allow", "test" | "list", "--config", "agent.yaml", ..]) {
                continue;
            }
            let args: Vec<&str> = words[1..]
                .iter()
                .map(|word| if *word == "agent.yaml" { file.to_str().unwrap() } else { word })
                .collect();
            let (_, said) = run(&args).await;
            assert_eq!(said.trim_end(), answer.trim_end(), "{command}");
            asked += 1;
        }
    }
    assert!(asked >= 7, "the dialogues were not found: {asked}");
}
