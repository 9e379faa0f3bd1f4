//! Bytes to a stream of documents: nothing is lost between them, and what is written again reads
//! as what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejob_fuzz::manifest::{BOM, Input, Node};

fuzz_target!(|text: &str| {
    let input = Input::new("fuzz".to_owned(), text.as_bytes().to_vec()).expect("it is UTF-8");
    let documents = input.documents();
    let joined: String = documents.iter().map(|document| document.text()).collect();
    assert_eq!(joined, text.strip_prefix(BOM).unwrap_or(text));
    for document in &documents {
        // Only Jobs are written, which are mappings.
        let Ok(Some(node @ Node::Mapping(_))) = document.read() else { continue };
        let written = match document.write(&node) {
            Ok(written) => written,
            // The parser ends a line there, and what is copied is cut at newlines.
            Err(_) if document.text().replace("\r\n", "").contains('\r') => continue,
            Err(error) => panic!("{error}"),
        };
        let again = Input::new("fuzz".to_owned(), written.into_bytes()).expect("it is UTF-8");
        let nodes: Vec<_> = again
            .documents()
            .iter()
            .filter_map(|document| document.read().expect("what is written can be read"))
            .collect();
        assert_eq!(nodes, [node]);
    }
});
