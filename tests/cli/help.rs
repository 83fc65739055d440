//! The help is the command line's manual: every command and option is in it.

use super::support::rollcall;

#[test]
fn every_command_explains_itself() {
    let commands: [(&[&str], &[&str]); 27] = [
        (
            &[],
            &[
                "demo",
                "serve",
                "tls",
                "enroll",
                "recognize",
                "backup",
                "restore",
                "check",
                "bench",
                "gallery",
                "models",
                "--data",
                "--config",
                "--version",
            ],
        ),
        (&["demo"], &["[DIR]", "rollcall-demo", "free port"]),
        (&["serve"], &["--address", "--insecure"]),
        (&["tls"], &["init", "renew"]),
        (&["tls", "init"], &["--name", "ca.key"]),
        (&["tls", "renew"], &["--name", "ca.key"]),
        (
            &["enroll"],
            &["<DIR|ROSTER>", "--photos", "--dry-run", "--group", "--new", "--into", "--tenant", "--key", "replaced"],
        ),
        (
            &["recognize"],
            &["<FILE>...", "--group", "--no-mark", "--liveness", "--threshold", "--margin", "--annotate", "--watch"],
        ),
        (&["backup"], &["[FILE]", "--list", "--key", "one moment"]),
        (&["restore"], &["<FILE>", "empty", "key"]),
        (&["check"], &["--key", "restore"]),
        (&["user"], &["add", "passwd", "list"]),
        (&["user", "add"], &["<USER>", "--role", "--group", "--tenant", "--operator", "--key", "standard input"]),
        (&["user", "passwd"], &["<USER>", "ends their logins"]),
        (&["keys"], &["rotate"]),
        (&["keys", "rotate"], &["--key", "signs"]),
        (&["bench"], &["pairs", "strangers", "photos", "nets"]),
        (&["bench", "pairs"], &["<PAIRS.csv>", "--long-side"]),
        (&["bench", "strangers"], &["--threshold", "--margin", "--min-width", "--min-score", "--long-side"]),
        (&["bench", "photos"], &["--threads", "--seconds", "--liveness", "--long-side"]),
        (&["bench", "nets"], &["--threads", "--batch", "--repeat"]),
        (&["gallery"], &["check"]),
        (&["gallery", "check"], &["--sample", "--all", "--json", "--tenant", "--key", "gallery.recall_floor"]),
        (&["models"], &["import", "verify", "blur-direction"]),
        (&["models", "import"], &["--arch", "--out", "<FILE.onnx>"]),
        (&["models", "verify"], &["[DIR]"]),
        (&["models", "blur-direction"], &["<DIR>", "--out", "--models"]),
    ];
    for (command, words) in commands {
        let help = rollcall(&[command, &["--help"]].concat()).succeeded().out;
        for word in words {
            assert!(help.contains(word), "{word} is not in the help of {command:?}:\n{help}");
        }
    }
}

#[test]
fn a_wrong_argument_is_refused() {
    rollcall(&["recognise"]).failed_saying("recognize");
    rollcall(&["recognize"]).failed_saying("<FILE>...");
    rollcall(&["bench", "photos", "x.jpg", "--threads", "0"]).failed_saying("--threads");
}
