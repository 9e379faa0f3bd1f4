//! Enums whose values are words in metrics and logs: a value is one row, with all that is said of it.

/// An enum of rows `Value = "label", "more words";`, each with `[n]` words.
///
/// It gets `ALL` in the order of the rows, `label()`, `labels()` and, in its own module, `words()`.
#[macro_export]
macro_rules! labeled {
    (
        $(#[$of:meta])* pub enum $name:ident [$n:literal];
        $($(#[$doc:meta])* $value:ident = $label:literal $(, $word:literal)*;)*
    ) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* #[doc = concat!("`", $label, "`" $(, ": ", $word)*)] $value,)* }

        impl $name {
            /// Every value, in the order of its table.
            pub const ALL: &'static [Self] = &[$(Self::$value,)*];

            /// The value of the label in metrics and logs.
            pub fn label(self) -> &'static str {
                let [label, ..] = self.words();
                label
            }

            /// The labels of all values.
            pub fn labels() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.label()).collect()
            }

            fn words(self) -> [&'static str; $n] {
                match self { $(Self::$value => [$label $(, $word)*],)* }
            }
        }
    };
}
