//! File systems of their own, in files under loop devices. Needs the right to mount.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A mounted file system in a file.
pub(crate) struct Disk {
    image: PathBuf,
    mounted: PathBuf,
    _folder: Option<TempDir>,
}

impl Disk {
    /// An empty one of so many bytes. Where it cannot be mounted, `test` is skipped, which it says; but not where `CI` is
    /// set.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn make(bytes: u64, test: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let image = folder.path().join("disk");
        File::create(&image).unwrap().set_len(bytes).unwrap();
        let is_made = run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)]);
        let disk = is_made.then(|| Self::mount(image, Some(folder))).flatten();
        if disk.is_none() {
            assert!(std::env::var_os("CI").is_none(), "{test}: a loop device can be mounted here");
            eprintln!("SKIPPED {test}: cannot mount a loop device (root may)");
        }
        disk
    }

    /// The kernel writes nothing of its own accord for five minutes.
    fn mount(image: PathBuf, folder: Option<TempDir>) -> Option<Self> {
        let mounted = image.with_extension("mounted");
        fs::create_dir_all(&mounted).unwrap();
        let is_mounted = run("mount", &["-o", "loop,commit=300", text(&image), text(&mounted)]);
        is_mounted.then_some(Self { image, mounted, _folder: folder })
    }

    /// What has reached it by now, while nobody writes, as another disk.
    pub(crate) fn as_after_a_power_cut(&self) -> Self {
        let copy = self.image.with_file_name("cut");
        assert!(run("cp", &["--sparse=always", text(&self.image), text(&copy)]));
        Self::mount(copy, None).unwrap()
    }

    /// A folder on it that is there from the first call on.
    pub(crate) fn data(&self) -> PathBuf {
        let data = self.mounted.join("data");
        fs::create_dir_all(&data).unwrap();
        data
    }

    /// Takes room until so many bytes are free.
    pub(crate) fn leave_free(&self, bytes: u64) {
        let filler = self.mounted.join("filler");
        let take = || {
            drop(fs::remove_file(&filler));
            // It takes some for itself.
            let taken = self.free_bytes().saturating_sub(bytes.max(1 << 20));
            run("fallocate", &["-l", &taken.to_string(), text(&filler)])
        };
        // A server on it may take what was free a moment ago: its reserve, say.
        assert!((0..10).any(|_| take()));
        if bytes == 0 {
            let rest = self.mounted.join("filler.rest");
            run("dd", &["if=/dev/zero", &format!("of={}", text(&rest)), "bs=4096"]);
        }
    }

    /// Bytes that are free.
    pub(crate) fn free_bytes(&self) -> u64 {
        let room = rustix::fs::statvfs(&self.mounted).unwrap();
        room.f_bavail * room.f_frsize
    }

    /// Gives back what [`Self::leave_free`] took.
    pub(crate) fn empty(&self) {
        for name in ["filler", "filler.rest"] {
            drop(fs::remove_file(self.mounted.join(name)));
        }
    }

    pub(crate) fn make_read_only(&self) {
        assert!(run("mount", &["-o", "remount,ro", text(&self.mounted)]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", text(&self.mounted)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
