//! Looks past the API server: which key holds an object of which name.
//!
//! A webhook that renames what it must not leaves an object of one name under the key of another;
//! only storage itself shows that. Read through etcd's JSON gateway; the values are protobuf.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::net;

/// For each key under `/registry/<resource>/<namespace>/`: its last segment and `metadata.name` of
/// the object it holds.
pub fn stored_names(port: u16, resource: &str, namespace: &str) -> Vec<(String, String)> {
    let prefix = format!("/registry/{resource}/{namespace}/");
    // The end of a prefix range: the prefix with its last byte, a slash, made one greater.
    let end = format!("/registry/{resource}/{namespace}0");
    let range = json!({ "key": STANDARD.encode(&prefix), "range_end": STANDARD.encode(end) });
    let (status, body) = net::post(port, "/v3/kv/range", &range.to_string()).expect("ask etcd");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("etcd answers JSON");
    let entries = answer["kvs"].as_array().cloned().unwrap_or_default();
    let bytes = |value: &Value| STANDARD.decode(value.as_str().expect("a string")).expect("base64");
    entries
        .iter()
        .map(|entry| {
            let key = String::from_utf8(bytes(&entry["key"])).expect("a key is text");
            let name = object_name(&bytes(&entry["value"])).expect("a stored object has a name");
            (key[prefix.len()..].to_owned(), name)
        })
        .collect()
}

/// `metadata.name` of a stored object: magic, `Unknown{raw: 2}`, `Object{metadata: 1}`,
/// `ObjectMeta{name: 1}`.
fn object_name(value: &[u8]) -> Option<String> {
    let unknown = value.strip_prefix(b"k8s\0")?;
    let name = field(field(field(unknown, 2)?, 1)?, 1)?;
    String::from_utf8(name.to_vec()).ok()
}

/// The bytes of the first length-delimited field of that number.
fn field(mut message: &[u8], number: u64) -> Option<&[u8]> {
    loop {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => drop(varint(&mut message)?),
            1 => message = message.get(8..)?,
            5 => message = message.get(4..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                if tag >> 3 == number {
                    return Some(bytes);
                }
                message = rest;
            }
            _ => return None,
        }
    }
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
