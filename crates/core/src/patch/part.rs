//! An object as a patch has made it so far, copied only where it is touched.
//!
//! Most of a Job (its template, its managedFields) is never patched, so what has not changed is
//! borrowed. The rules of where a value can be put are those of RFC 6902.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

/// A value of the object: as it came, as it was set, or changed somewhere below.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// As it came.
    Original(&'a Value),
    /// As an operation has set it.
    Set(Value),
    /// An object in which something has changed.
    Object(BTreeMap<Cow<'a, str>, Part<'a>>),
    /// A list in which something has changed.
    List(Vec<Part<'a>>),
}

impl Part<'_> {
    /// What `read` makes of the part at a path; `None` when nothing is there.
    pub fn look<T>(&self, path: &[&str], read: impl FnOnce(&Part<'_>) -> T) -> Option<T> {
        let Some((first, rest)) = path.split_first() else { return Some(read(self)) };
        match self {
            Self::Original(value) => Some(read(&Part::Original(lookup(value, path)?))),
            Self::Set(value) => Some(read(&Part::Original(lookup(value, path)?))),
            Self::Object(fields) => fields.get(*first)?.look(rest, read),
            Self::List(items) => items.get(index(first)?)?.look(rest, read),
        }
    }

    /// Whether the part is this value.
    pub fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Original(own), _) => *own == value,
            (Self::Set(own), _) => own == value,
            // Both are in the order of the names.
            (Self::Object(fields), Value::Object(map)) => {
                let same =
                    |((name, part), (key, value)): ((&Cow<'_, str>, &Self), (&String, _))| {
                        name == key && part.is(value)
                    };
                fields.len() == map.len() && fields.iter().zip(map).all(same)
            }
            (Self::List(items), Value::Array(list)) => {
                items.len() == list.len()
                    && items.iter().zip(list).all(|(own, value)| own.is(value))
            }
            (Self::Object(_) | Self::List(_), _) => false,
        }
    }

    /// Puts a value at a path: in the place of what is there, or as a new field or the next item.
    /// `None` when no object or list is there to take it.
    pub fn put(&mut self, path: &[&str], value: Value) -> Option<()> {
        let Some((last, parents)) = path.split_last() else {
            *self = Self::Set(value);
            return Some(());
        };
        match self.open(parents)? {
            Self::Object(fields) => {
                fields.insert(Cow::Owned((*last).to_owned()), Self::Set(value));
            }
            Self::List(items) => {
                let index = index(last)?;
                if index == items.len() {
                    items.push(Self::Set(value));
                } else {
                    *items.get_mut(index)? = Self::Set(value);
                }
            }
            Self::Original(_) | Self::Set(_) => return None,
        }
        Some(())
    }

    /// Removes what is at a path; `None` when nothing is.
    pub fn take(&mut self, path: &[&str]) -> Option<()> {
        let (last, parents) = path.split_last()?;
        match self.open(parents)? {
            Self::Object(fields) => fields.remove(*last).map(drop),
            Self::List(items) => {
                let index = index(last)?;
                (index < items.len()).then(|| drop(items.remove(index)))
            }
            Self::Original(_) | Self::Set(_) => None,
        }
    }

    /// The part at a path, with its fields or items, and those on the way, as parts of their own.
    fn open(&mut self, path: &[&str]) -> Option<&mut Self> {
        self.unfold();
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match self {
            Self::Object(fields) => fields.get_mut(*first)?.open(rest),
            Self::List(items) => items.get_mut(index(first)?)?.open(rest),
            Self::Original(_) | Self::Set(_) => None,
        }
    }

    fn unfold(&mut self) {
        *self = match std::mem::replace(self, Self::Original(&Value::Null)) {
            Self::Original(Value::Object(map)) => {
                let field =
                    |(name, value)| (Cow::Borrowed(String::as_str(name)), Part::Original(value));
                Self::Object(map.iter().map(field).collect())
            }
            Self::Original(Value::Array(list)) => {
                Self::List(list.iter().map(Part::Original).collect())
            }
            Self::Set(Value::Object(map)) => {
                let field = |(name, value)| (Cow::Owned(name), Part::Set(value));
                Self::Object(map.into_iter().map(field).collect())
            }
            Self::Set(Value::Array(list)) => Self::List(list.into_iter().map(Part::Set).collect()),
            other => other,
        };
    }
}

/// The value at a path.
pub(super) fn lookup<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get(*token),
        Value::Array(list) => list.get(index(token)?),
        _ => None,
    })
}

/// The index that a token names (RFC 6901): digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    let leading_zero = token.len() > 1 && token.starts_with('0');
    let digits = !leading_zero && token.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| token.parse().ok()).flatten()
}
