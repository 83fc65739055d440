//! The inputs that fuzzing keeps, in the tests of the crates whose parsers they are for.

use std::{fs, panic, path::Path};

/// What is asked of a parser, of any bytes.
type Target = fn(&[u8]);

/// Gives each target every input of its folder in `corpus/`.
pub(crate) fn replay(targets: &[(&str, Target)]) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut kept = here.map(|folder| folder.join("tests/fuzz/parsers/corpus"));
    let kept = kept.find(|folder| folder.is_dir()).expect("the tests run in their repository");
    for (name, target) in targets {
        let inputs: Vec<_> = fs::read_dir(kept.join(name)).unwrap().map(|input| input.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "nothing is kept for {name}");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let outcome = panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{}", input.display());
        }
    }
}
