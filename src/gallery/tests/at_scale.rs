//! Every plan over galleries that are large enough for codes, and long runs of changes with rebuilds.

use std::time::{Duration, Instant};

use super::*;

/// Plans that a gallery can be told to take.
const PLANS: [GalleryPlan; 4] = [GalleryPlan::Exact, GalleryPlan::Codes, GalleryPlan::Hnsw, GalleryPlan::Auto];

/// A unit vector at about `cosine` to another.
fn near(center: &[f32], cosine: f32, seed: u64) -> Vec<f32> {
    let noise = vector_of(center.len(), seed);
    let along: f32 = noise.iter().zip(center).map(|(x, y)| x * y).sum();
    let aside: Vec<f32> = noise.iter().zip(center).map(|(x, y)| x - along * y).collect();
    let length = aside.iter().map(|x| x * x).sum::<f32>().sqrt();
    let sine = (1.0 - cosine * cosine).sqrt();
    aside.iter().zip(center).map(|(x, y)| sine * x / length + cosine * y).collect()
}

/// Checks that all plans find the same people at the same similarities.
#[track_caller]
fn assert_plans_agree(gallery: &TenantGallery, queries: &[f32], top: usize) {
    let search = |plan| {
        gallery.set_plan(plan);
        gallery.search(&request(queries, top, None)).unwrap()
    };
    let exact = search(GalleryPlan::Exact);
    for plan in PLANS {
        let found = search(plan);
        for (expected, found) in exact.per_query.iter().zip(&found.per_query) {
            let similarities = |people: &[domain::Candidate]| -> Vec<u32> {
                people.iter().map(|candidate| candidate.similarity.to_bits()).collect()
            };
            assert_eq!(similarities(expected), similarities(found), "{plan:?}");
            assert_eq!(expected, found, "{plan:?}");
        }
    }
}

#[test]
fn all_plans_find_the_same_at_every_size() {
    for size in [0_u64, 1, 2, 26, 63, 64, 65, 256, 257, 1025, 4096] {
        let gallery = gallery(GalleryPlan::Auto);
        // Up to three samples a person, in no order.
        let samples: Vec<_> = (0..size).map(|n| sample(&format!("p{}", n * 7 % size.div_ceil(2)), n, n)).collect();
        gallery.insert(&samples).unwrap();
        let strangers = (0..20).flat_map(|n| vector(1_000_000 + n));
        let known = (0..20).map(|n| n * 37 % size.max(1)).flat_map(|n| near(&vector(n), 0.7, 2_000_000 + n));
        let queries: Vec<f32> = strangers.chain(known).collect();
        for top in [1, 2, 31] {
            assert_plans_agree(&gallery, &queries, top);
        }
    }
}

#[test]
fn a_forced_plan_is_the_one_that_is_taken_and_the_effort_says_so() {
    let gallery = gallery(GalleryPlan::Exact);
    gallery.insert(&(0..4096).map(|n| sample(&format!("p{n}"), n, n)).collect::<Vec<_>>()).unwrap();
    let effort = |plan| {
        gallery.set_plan(plan);
        gallery.search(&request(&vector(5), 1, None)).unwrap().effort
    };
    assert_eq!(
        effort(GalleryPlan::Exact),
        Effort { plan: Plan::ExactGallery, rows_scanned: 4096, rows_compared: 4096 }
    );
    let by_codes = effort(GalleryPlan::Codes);
    assert_eq!((by_codes.plan, by_codes.rows_scanned), (Plan::Codes, 4096));
    assert!(by_codes.rows_compared < 200, "{}: a sample that is in the gallery stands out", by_codes.rows_compared);
}

#[test]
fn a_sample_that_stands_out_is_found_however_low_its_estimate() {
    let (dimension, rows) = (128, 4096);
    let model = ModelId { dimension: dimension as u32, ..model() };
    let gallery =
        TenantGallery::new(model.clone(), GalleryOptions { plan: GalleryPlan::Codes, ..GalleryOptions::default() });
    let one =
        |n| FaceSample { model: model.clone(), vector: vector_of(dimension, n), ..sample(&format!("p{n}"), n, 0) };
    gallery.insert(&(0..rows).map(one).collect::<Vec<_>>()).unwrap();
    // One of these queries has its best sample estimated lower than the bound allows.
    let queries: Vec<f32> = (0..rows).flat_map(|n| near(&vector_of(dimension, n), 0.6, 1_000_000 + n)).collect();
    assert_plans_agree(&gallery, &queries, 1);
}

#[test]
fn clusters_of_near_duplicates_hide_nobody() {
    let gallery = gallery(GalleryPlan::Codes);
    // Three thousand people who look alike, and the same face a hundred times over.
    let center = vector(1);
    for n in 0..3000_u64 {
        let vector = near(&center, 0.98, 10_000 + n);
        gallery.insert(&[FaceSample { vector, ..sample(&format!("twin{n}"), n, 0) }]).unwrap();
    }
    for n in 3000..3100_u64 {
        gallery.insert(&[sample("again", n, 77)]).unwrap();
    }
    gallery.insert(&(5000..7000).map(|n| sample(&format!("p{n}"), n, n)).collect::<Vec<_>>()).unwrap();
    let queries: Vec<f32> = (0..10).flat_map(|n| near(&center, 0.98, 10_000 + n * 300)).chain(vector(77)).collect();
    for top in [1, 2, 12] {
        assert_plans_agree(&gallery, &queries, top);
    }
    gallery.set_plan(GalleryPlan::Codes);
    let found = gallery.search(&request(&queries, 2, None)).unwrap();
    for (n, found) in found.per_query[..10].iter().enumerate() {
        assert_eq!(found[0].person, id(&format!("twin{}", n * 300)));
    }
    assert_eq!((&found.per_query[10][0].person, found.per_query[10].len()), (&id("again"), 2));
}

/// Waits for the rebuild in the background that the changes so far call for.
fn wait_for_rebuild(gallery: &TenantGallery) {
    let patience = Instant::now() + Duration::from_secs(300);
    while gallery.is_worn() {
        assert!(Instant::now() < patience, "the gallery is not rebuilt");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ten_times_half_is_removed_and_added_again() {
    let gallery = gallery(GalleryPlan::Codes);
    let all: Vec<_> = (0..3000).map(|n| sample(&format!("p{n}"), n, n)).collect();
    gallery.insert(&all).unwrap();
    for cycle in 0..10 {
        let half = || all.iter().filter(|sample| sample.person.as_str().len() % 2 == cycle % 2);
        let removed: Vec<FaceSample> = half().cloned().collect();
        for sample in &removed {
            gallery.remove_person(&sample.person);
        }
        assert_eq!(gallery.len(), all.len() - removed.len());
        let queries: Vec<f32> = removed.iter().step_by(50).flat_map(|sample| sample.vector.clone()).collect();
        for found in gallery.search(&request(&queries, 3, None)).unwrap().per_query {
            assert!(found.iter().all(|found| removed.iter().all(|gone| gone.person != found.person)));
        }
        gallery.insert(&removed).unwrap();
        let queries: Vec<f32> = all.iter().step_by(10).flat_map(|sample| sample.vector.clone()).collect();
        let result = gallery.search(&request(&queries, 1, None)).unwrap();
        for (sample, found) in all.iter().step_by(10).zip(result.per_query) {
            assert_eq!((&found[0].person, found[0].face), (&sample.person, sample.id), "cycle {cycle}");
        }
    }
    wait_for_rebuild(&gallery);
    assert_eq!((gallery.len(), gallery.people()), (3000, 3000));
    let before = gallery.memory_bytes();
    // The one in the background may just be over and not have said so yet.
    let rebuilt = loop {
        match gallery.rebuild() {
            Some(rebuilt) => break rebuilt,
            None => std::thread::yield_now(),
        }
    };
    assert!(rebuilt.removed < 1000, "most tombstones had gone already");
    // Tables made anew may be rounded up differently.
    let after = gallery.memory_bytes();
    assert!(after <= before + before / 10, "{after} bytes after {before}");
    assert_plans_agree(&gallery, &all[7].vector, 3);
}

#[test]
fn what_is_removed_while_a_gallery_is_rebuilt_is_not_forgotten() {
    let all: Vec<_> = (0..300).map(|n| sample(&format!("p{n}"), n, n)).collect();
    for _ in 0..100 {
        let gallery = gallery(GalleryPlan::Exact);
        gallery.insert(&all).unwrap();
        // The last of these changes come at any moment of a rebuild.
        for removed in all.chunks(100) {
            for sample in removed {
                gallery.remove_person(&sample.person);
            }
            gallery.insert(removed).unwrap();
        }
        wait_for_rebuild(&gallery);
    }
}

/// Long runs of changes against a plain map; rebuilds come of themselves and by hand.
#[test]
fn long_runs_of_changes_keep_all_plans_right() {
    for seed in 0..3_u64 {
        let gallery = gallery(GalleryPlan::Auto);
        let mut plain = Plain::new();
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for step in 0..60_u64 {
            for _ in 0..40 {
                let person = next(200);
                let samples: Vec<FaceSample> = (0..=next(4))
                    .map(|_| sample(&format!("p{person}"), person * 100 + next(12), next(1_000_000)))
                    .collect();
                match next(5) {
                    0 => {
                        gallery.remove_person(&samples[0].person);
                        plain.remove(&samples[0].person);
                        continue;
                    }
                    1 => {
                        let known = plain.remove(&samples[0].person).unwrap_or_default();
                        let gone: Vec<FaceId> = known.into_keys().collect();
                        gallery.exchange(&samples[0].person, &gone, &samples).unwrap();
                    }
                    2 => {
                        let faces: Vec<FaceId> = samples.iter().map(|sample| sample.id).collect();
                        gallery.remove_faces(&samples[0].person, &faces);
                        if let Some(known) = plain.get_mut(&samples[0].person) {
                            known.retain(|face, _| !faces.contains(face));
                        }
                        plain.retain(|_, faces| !faces.is_empty());
                        continue;
                    }
                    _ => gallery.insert(&samples).unwrap(),
                }
                for sample in samples {
                    plain.entry(sample.person.clone()).or_default().insert(sample.id, sample.vector);
                }
            }
            if next(10) == 0 {
                gallery.rebuild();
            }
            for plan in PLANS {
                gallery.set_plan(plan);
                assert_same(&gallery, &plain, step, 1 + (step % 40) as usize);
            }
        }
    }
}

#[test]
fn changes_during_rebuilds_are_neither_lost_nor_undone() {
    let gallery = Arc::new(gallery(GalleryPlan::Codes));
    gallery.insert(&(0..6000).map(|n| sample(&format!("p{n}"), n, n)).collect::<Vec<_>>()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let rebuilder = {
        let (gallery, stop) = (Arc::clone(&gallery), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut rebuilds = 0;
            while !stop.load(Ordering::Relaxed) {
                rebuilds += usize::from(gallery.rebuild().is_some());
            }
            rebuilds
        })
    };
    for n in 0..2000_u64 {
        gallery.remove_person(&id(&format!("p{n}")));
        let (person, new) = (format!("p{}", n + 2000), 10_000 + n);
        gallery.exchange(&id(&person), &[face(n + 2000)], &[sample(&person, new, new)]).unwrap();
        if n % 20 == 0 {
            let queries = [vector(n), vector(n + 2000), vector(new)].concat();
            let found = gallery.search(&request(&queries, 1, None)).unwrap().per_query;
            assert_ne!(found[0][0].person, id(&format!("p{n}")), "a removed person is found by none");
            assert_ne!(found[1][0].face, face(n + 2000), "a replaced sample is found by none");
            assert_eq!(found[2][0].face, face(new), "an enrolment is found by the very next search");
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(rebuilder.join().unwrap() > 0);
    gallery.rebuild();
    assert_eq!((gallery.len(), gallery.people()), (4000, 4000));
    let queries: Vec<f32> = (10_000..12_000).flat_map(vector).collect();
    let found = gallery.search(&request(&queries, 1, None)).unwrap().per_query;
    assert!(found.iter().zip(10_000..).all(|(found, n)| found[0].face == face(n)));
}

#[test]
fn a_gallery_that_goes_away_is_not_rebuilt_to_the_end() {
    let options = GalleryOptions::default();
    for _ in 0..20 {
        let gallery = TenantGallery::new(model(), options.clone());
        gallery.insert(&(0..2000).map(|n| sample(&format!("p{n}"), n, n)).collect::<Vec<_>>()).unwrap();
        (0..500).for_each(|n| gallery.remove_person(&id(&format!("p{n}"))));
    }
    // The one thread is still there for others.
    let gallery = TenantGallery::new(model(), options);
    gallery.insert(&(0..500).map(|n| sample(&format!("p{n}"), n, n)).collect::<Vec<_>>()).unwrap();
    (0..200).for_each(|n| gallery.remove_person(&id(&format!("p{n}"))));
    wait_for_rebuild(&gallery);
    assert_eq!(gallery.len(), 300);
}
