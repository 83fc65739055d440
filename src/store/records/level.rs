//! What is made of the table of [`records`](super): by `level!`, and by a small macro for each column that has several
//! forms. Names in them are looked up where the table is.

/// Makes of a level: its enum with a variant a line, what is asked of a variant, the makers of its keys (which `keys`
/// gives on), and `Record` for the types that have their number here.
macro_rules! level {
    (
        $(#[$level_doc:meta])*
        $level:ident $owner:tt from $start:path, found $found:ty, letters beside [$($beside:expr),*];
        $(
            $(#[$doc:meta])*
            $letter:literal $variant:ident $( ( $($part:ident: $type:ty),+ ) )?,
            $maker:ident $([ $($prefix:tt),+ ])? $(as $name:literal)? => $value:ident $( ($number:tt, $version:tt) )?,
            audit $audit:ident $( ( $($how:tt)+ ) )?,
            check $($check:ident)::+;
        )*
    ) => {
        $(#[$level_doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(in crate::store) enum $level {
            $( $(#[$doc])* $variant $( ( $($type),+ ) )?, )*
        }

        const _: () =
            assert!(are_distinct(&[&[$($letter,)* $($beside),*]]), "two kinds of a level have the same letter");

        impl $level {
            /// The numbers of the records that have theirs on this level.
            const NUMBERS: &[u8] = &[$( $($number,)? )*];

            /// What such a record is called.
            pub(in crate::store) const fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant { .. } => name!($maker $($name)?), )*
                }
            }

            /// Reads what follows the level's beginning; `None` for what nothing here makes.
            pub(in crate::store) fn take(parts: &mut Parts<'_>) -> Option<Self> {
                let [letter] = parts.fixed()?;
                Some(match letter {
                    $( $letter => Self::$variant $( ( $( <$type as KeyPart>::take(parts)? ),+ ) )?, )*
                    _ => return None,
                })
            }

            /// What is wrong with such a record.
            #[allow(unused_variables, reason = "where only the bytes can be wrong")]
            pub(in crate::store) fn check(&self, of: &$found) -> Finding {
                match self {
                    $( Self::$variant $( ( $($part),+ ) )? => {
                        check!($($check)::+, $value, of $( $(, $part.arg())+ )?)
                    } )*
                }
            }

            /// The realm in whose log a change of such a record of `realm` has to be told of; `None` where it need not.
            pub(in crate::store) fn chain(
                &self,
                change: &Change<'_>,
                realm: impl FnOnce() -> Realm,
            ) -> Result<Option<Realm>> {
                match self {
                    $( Self::$variant { .. } => audit!(change, realm, $audit $( ( $($how)+ ) )?), )*
                }
            }

            /// The key that says so.
            #[cfg(any(test, fuzzing))]
            #[allow(unused_variables, reason = "the server is one")]
            pub(in crate::store) fn key(&self, owner: owner_type!($owner)) -> Key {
                match self {
                    $( Self::$variant $( ( $($part),+ ) )? => {
                        begin!($start, $owner, owner, $letter) $( $( .with::<$type>($part.arg()) )+ )?
                    } )*
                }
            }

            /// One of each kind, whose parts are made of numbers from `seed` on.
            #[cfg(test)]
            fn samples(seed: u8) -> Vec<Self> {
                vec![$( {
                    #[allow(unused_mut, unused_variables, reason = "not every key has parts")]
                    let mut numbers = seed..;
                    Self::$variant $( ( $( <$type as KeyPart>::sample(numbers.next().unwrap_or(seed)) ),+ ) )?
                } ),*]
            }

            #[cfg(any(test, fuzzing))]
            fn each_type(each: &mut impl EachType) {
                $( see!(each, $value $($number)?); )*
            }
        }

        /// The parts of the key, for the operator, who looks for a record; of digests the beginning.
        impl fmt::Display for $level {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())?;
                match self {
                    $( Self::$variant $( ( $($part),+ ) )? => { $( $( $part.show(f)?; )+ )? } )*
                }
                Ok(())
            }
        }

        $(
            record! { $value $( $number $version )? }
            maker! { $(#[$doc])* $maker, $start, $owner, $letter, [$( $($part: $type),+ )?] }
            prefixes! { [$( $($prefix),+ )?], $start, $owner, $letter, [], [$( $($part: $type),+ )?] }
        )*
    };
}

/// A kind's name: its maker's, or what comes after `as`.
macro_rules! name {
    ($maker:ident) => {
        stringify!($maker)
    };
    ($maker:ident $name:literal) => {
        $name
    };
}

/// What the check's column says.
macro_rules! check {
    (readable, $value:ident, $of:ident $(, $part:expr)*) => {
        $of.readable::<$value>()
    };
    ($($check:ident)::+, $value:ident, $of:ident $(, $part:expr)*) => {
        $($check)::+($of $(, $part)*)
    };
}

/// What the audit's column says.
macro_rules! audit {
    ($change:ident, $realm:ident, told) => {
        Ok(Some($realm()))
    };
    ($change:ident, $realm:ident, told_of_removal) => {
        Ok($change.is_removal().then($realm))
    };
    ($change:ident, $realm:ident, told_if($($is_change:ident)::+)) => {
        $change.tell_if($realm(), $($is_change)::+)
    };
    ($change:ident, $realm:ident, by($($by:ident)::+)) => {
        $($by)::+($change)
    };
    ($change:ident, $realm:ident, never($why:literal)) => {
        Ok(None)
    };
}

/// `Record` for a type whose number is here; that there is one for a type without.
macro_rules! record {
    ($value:ident) => {
        const _: u8 = <$value as Record>::KIND;
    };
    ($value:ident $number:literal 1) => {
        impl Record for $value {
            const KIND: u8 = $number;
            const VERSION: u8 = 1;
        }
    };
    ($value:ident $number:literal $version:literal) => {
        impl Record for $value {
            const KIND: u8 = $number;
            const VERSION: u8 = $version;

            fn from_older(version: u8, body: OlderBody<'_>) -> Result<Self> {
                <Self as Older>::from_older(version, body)
            }
        }
    };
}

/// Tells of a type where its number is.
#[cfg(any(test, fuzzing))]
macro_rules! see {
    ($each:ident, $value:ident) => {};
    ($each:ident, $value:ident $number:literal) => {
        $each.see::<$value>(stringify!($value))
    };
}

/// The function that makes keys of these parts, or a prefix.
macro_rules! maker {
    ($(#[$doc:meta])* $maker:ident, $start:path, (), $letter:literal, [$($part:ident: $type:ty),* $(,)?]) => {
        $(#[$doc])*
        pub(in crate::store) fn $maker($($part: <$type as KeyPart>::Arg<'_>),*) -> Key {
            $start($letter) $( .with::<$type>($part) )*
        }
    };
    (
        $(#[$doc:meta])* $maker:ident, $start:path, ($owner:ident: $owner_type:ty), $letter:literal,
        [$($part:ident: $type:ty),* $(,)?]
    ) => {
        $(#[$doc])*
        pub(in crate::store) fn $maker($owner: $owner_type $(, $part: <$type as KeyPart>::Arg<'_>)*) -> Key {
            $start($owner, $letter) $( .with::<$type>($part) )*
        }
    };
}

/// The makers of prefixes: names them one by one, each with one part more.
macro_rules! prefixes {
    ([], $start:path, $owner:tt, $letter:literal, $parts:tt, $rest:tt) => {};
    (
        [_ $(, $prefix:tt)*], $start:path, $owner:tt, $letter:literal, [$($parts:tt)*],
        [$part:ident: $type:ty $(, $($rest:tt)*)?]
    ) => {
        prefixes! { [$($prefix),*], $start, $owner, $letter, [$($parts)* $part: $type,], [$($($rest)*)?] }
    };
    (
        [$maker:ident $(, $prefix:tt)*], $start:path, $owner:tt, $letter:literal, [$($parts:tt)*],
        [$part:ident: $type:ty $(, $($rest:tt)*)?]
    ) => {
        maker! { $maker, $start, $owner, $letter, [$($parts)*] }
        prefixes! { [$($prefix),*], $start, $owner, $letter, [$($parts)* $part: $type,], [$($($rest)*)?] }
    };
}

/// The beginning of a key of the level, where `owner` is whose it is.
#[cfg(any(test, fuzzing))]
macro_rules! begin {
    ($start:path, (), $owner:ident, $letter:literal) => {
        $start($letter)
    };
    ($start:path, ($name:ident: $owner_type:ty), $owner:ident, $letter:literal) => {
        $start($owner, $letter)
    };
}

/// Whose the records of a level are.
#[cfg(any(test, fuzzing))]
macro_rules! owner_type {
    (()) => {
        ()
    };
    (($name:ident: $owner_type:ty)) => {
        $owner_type
    };
}
