//! The licence that the packages name is there in full.

use std::{fs, path::Path};

#[test]
fn every_package_comes_with_the_licence_that_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (package, file) in [("Cargo.toml", "LICENSE"), ("clients/python/pyproject.toml", "clients/python/LICENSE")] {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert!(read(package).contains("license = \"MIT\""), "{package}");
        let licence = read(file);
        assert!(licence.starts_with("MIT License\n") && licence.contains("Permission is hereby granted"), "{file}");
    }
}
