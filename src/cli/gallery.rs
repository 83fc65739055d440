//! `rollcall gallery`: looking after what searches go by.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Common, TenantArgs, door::Door, files::table, say};
use crate::{
    error::{Error, ErrorKind, Result},
    gallery::{Plan, falls_short},
    service::recognition::gallery::{GalleryCheckPage, GalleryCheckParams, LostSample, WayView},
};

/// Lost samples that are told one by one.
const MAX_TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct GalleryArgs {
    #[command(subcommand)]
    what: Gallery,
}

#[derive(Debug, Subcommand)]
enum Gallery {
    /// Verifies that enrolled samples find themselves, and how often each way of searching is right.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each way of searching is compared with an exact search, on queries made of the samples at about cosine 0.6. `graph` is
the graph without the codes beside it, which no search goes by.
--json prints one object: {\"what\":\"gallery_check\",\"checked\",\"passed_over\",\"of_other_models\",
  \"lost\":[{\"person\",\"face\"}],\"ways\":[{\"way\",\"searches\",\"right\",\"recall\"}],\"sound\"}
Ends with an error if an enrolled sample does not find itself, or if a way of searching is right less often than
gallery.recall_floor asks, beyond what chance explains.")]
struct CheckArgs {
    /// About how many samples to look for.
    #[arg(long, default_value_t = 1000, conflicts_with = "all")]
    sample: usize,
    /// Look for every sample: at a million samples that takes hours.
    #[arg(long)]
    all: bool,
    /// Print a JSON line instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// What all pages say together.
#[derive(Default)]
struct Findings {
    checked: usize,
    passed_over: usize,
    of_other_models: usize,
    lost: Vec<LostSample>,
    /// Searches and those that were right, by way.
    ways: BTreeMap<String, (usize, usize)>,
}

impl Findings {
    fn add(&mut self, page: GalleryCheckPage) {
        self.checked += page.checked;
        self.passed_over += page.passed_over;
        self.of_other_models += page.of_other_models;
        self.lost.extend(page.lost);
        for WayView { way, searches, right } in page.ways {
            let sums = self.ways.entry(way).or_default();
            *sums = (sums.0 + searches, sums.1 + right);
        }
    }

    /// Whether nothing was lost and every plan reaches `floor`.
    fn is_sound(&self, floor: f64) -> bool {
        let falls_short =
            |(searches, right): (usize, usize)| falls_short(searches as u32, (searches - right) as u32, floor);
        let is_plan = |way: &str| Plan::ALL.iter().any(|plan| plan.name() == way);
        self.lost.is_empty() && !self.ways.iter().any(|(way, &sums)| is_plan(way) && falls_short(sums))
    }

    fn say_json(&self, sound: bool) -> Result<()> {
        let ways: Vec<_> = self
            .ways
            .iter()
            .map(|(way, &sums)| json!({ "way": way, "searches": sums.0, "right": sums.1, "recall": recall(sums) }))
            .collect();
        say(json!({
            "what": "gallery_check", "checked": self.checked, "passed_over": self.passed_over,
            "of_other_models": self.of_other_models, "lost": self.lost, "ways": ways, "sound": sound,
        }))
    }

    fn say_table(&self) -> Result<()> {
        say(format_args!("{} samples checked, {} passed over", self.checked, self.passed_over))?;
        if self.of_other_models > 0 {
            say(format_args!("{} of other models, which nothing can find", self.of_other_models))?;
        }
        for LostSample { person, face } in self.lost.iter().take(MAX_TOLD) {
            say(format_args!("lost: sample {face} of {person}"))?;
        }
        if self.lost.len() > MAX_TOLD {
            say(format_args!("lost: {} more", self.lost.len() - MAX_TOLD))?;
        }
        let mut ways = table(&["way", "searches", "recall"]);
        for (way, &sums) in &self.ways {
            ways.add_row([way.clone(), sums.0.to_string(), format!("{:.4}", recall(sums))]);
        }
        say(ways)
    }
}

fn recall((searches, right): (usize, usize)) -> f64 {
    right as f64 / searches.max(1) as f64
}

pub(super) fn run(common: &Common, args: &GalleryArgs) -> Result<()> {
    let Gallery::Check(args) = &args.what;
    let settings = common.settings()?;
    let floor = settings.gallery.recall_floor;
    actix::System::new().block_on(async {
        let door = Door::open(settings, &args.tenant).await?;
        let mut params = GalleryCheckParams { sample: (!args.all).then_some(args.sample), after: None };
        let mut findings = Findings::default();
        loop {
            let page = door.check_gallery(&params).await?;
            params.after.clone_from(&page.next);
            findings.add(page);
            if params.after.is_none() {
                break;
            }
        }
        let sound = findings.is_sound(floor);
        if args.json { findings.say_json(sound) } else { findings.say_table() }?;
        if sound {
            return Ok(());
        }
        let advice = "restart the server, which makes the gallery anew from the store, and check again";
        Err(Error::new(ErrorKind::Internal, format!("the gallery is not sound: {advice}"))
            .with_code("gallery_not_sound"))
    })
}
