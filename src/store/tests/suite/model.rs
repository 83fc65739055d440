//! Long sequences of operations, made from a seed, against a plain map: what each answers, and what is stored after it,
//! over restarts. A failure names its seed; `ROLLCALL_TEST_SEED` runs that one alone.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::store::{PersonChange, PersonPhotos};

const GROUPS: [&str; 2] = ["a", "b"];
const PEOPLE: u64 = 12;
/// Operations of a sequence.
pub(in crate::store) const LENGTH: usize = 150;
/// Sequences that are run.
const SEEDS: std::ops::Range<u64> = 1..5;
/// The day of all photos.
const DAY: i8 = 29;

/// One operation on people, who are called by numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Operation {
    Create(u64, Vec<FaceId>),
    Delete(u64),
    Add(u64, Vec<FaceId>),
    /// The sample of this place among theirs.
    Forget(u64, u64),
    Move(u64, u64, u64),
    Merge(u64, u64),
    Join(u64, Vec<&'static str>),
    Mark(&'static str, Vec<u64>),
}

/// What is known of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    faces: BTreeSet<FaceId>,
    groups: BTreeSet<String>,
    /// The groups that have a record of them.
    seen_in: BTreeSet<String>,
}

/// The plain map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Model(BTreeMap<String, Known>);

/// What an operation answers: nothing, or the code of its error.
type Answer = std::result::Result<(), &'static str>;

/// Numbers that look random: splitmix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn name(person: u64) -> String {
    format!("p{person:02}")
}

/// The sequence of a seed.
pub(in crate::store) fn operations(seed: u64) -> Vec<Operation> {
    let mut random = Random(seed);
    let mut faces = 0_u64;
    let mut fresh = |random: &mut Random| -> Vec<FaceId> {
        let count = random.below(4);
        (0..count)
            .map(|_| {
                faces += 1;
                FaceId::from_bytes((u128::from(seed) << 64 | u128::from(faces)).to_be_bytes())
            })
            .collect()
    };
    (0..LENGTH)
        .map(|_| {
            let (one, other) = (random.below(PEOPLE), random.below(PEOPLE));
            match random.below(16) {
                0..=4 => Operation::Create(one, fresh(&mut random)),
                5 => Operation::Delete(one),
                6 | 7 => Operation::Add(one, fresh(&mut random)),
                8 => Operation::Forget(one, random.below(4)),
                9 => Operation::Move(one, random.below(4), other),
                10 => Operation::Merge(one, other),
                11 | 12 => {
                    let groups = GROUPS.into_iter().filter(|_| random.below(2) == 0).collect();
                    Operation::Join(one, groups)
                }
                _ => Operation::Mark(GROUPS[random.below(2) as usize], vec![one, other]),
            }
        })
        .collect()
}

impl Model {
    fn known(&mut self, person: u64) -> std::result::Result<&mut Known, &'static str> {
        self.0.get_mut(&name(person)).ok_or("person_not_found")
    }

    fn face(&self, person: u64, place: u64) -> FaceId {
        let faces = self.0.get(&name(person)).map(|known| &known.faces);
        faces.and_then(|faces| faces.iter().nth(place as usize).copied()).unwrap_or(FaceId::from_bytes([0; 16]))
    }

    /// Does it, as the store should.
    pub(in crate::store) fn apply(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Create(person, _) if self.0.contains_key(&name(*person)) => return Err("person_exists"),
            Operation::Create(person, faces) => {
                let faces = faces.iter().copied().collect();
                self.0.insert(name(*person), Known { faces, ..Known::default() });
            }
            Operation::Delete(person) => drop(self.0.remove(&name(*person)).ok_or("person_not_found")?),
            Operation::Add(person, faces) => self.known(*person)?.faces.extend(faces),
            Operation::Forget(person, place) => {
                let face = self.face(*person, *place);
                self.known(*person)?.faces.remove(&face).then_some(()).ok_or("face_not_found")?;
            }
            Operation::Move(person, _, to) | Operation::Merge(person, to) if person == to => return Err("same_person"),
            Operation::Move(person, place, to) => {
                let face = self.face(*person, *place);
                self.known(*person)?;
                self.known(*to)?;
                self.known(*person)?.faces.remove(&face).then_some(()).ok_or("face_not_found")?;
                self.known(*to)?.faces.insert(face);
            }
            Operation::Merge(person, from) => {
                self.known(*person)?;
                let gone = self.0.remove(&name(*from)).ok_or("person_not_found")?;
                let known = self.known(*person)?;
                known.faces.extend(gone.faces);
                known.groups.extend(gone.groups);
                known.seen_in.extend(gone.seen_in);
            }
            Operation::Join(person, groups) => {
                self.known(*person)?.groups = groups.iter().map(|&group| group.to_owned()).collect();
            }
            Operation::Mark(group, people) => {
                for person in people {
                    if let Some(known) = self.0.get_mut(&name(*person)).filter(|known| known.groups.contains(*group)) {
                        known.seen_in.insert((*group).to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    /// Has the store do it; the samples that are meant are those of the model before.
    pub(in crate::store) async fn run(&self, store: &Store, operation: &Operation) -> Answer {
        let t = scope("t");
        let samples = |person: u64, faces: &[FaceId]| -> Vec<FaceSample> {
            faces.iter().map(|&face| FaceSample { id: face, ..sample(&name(person), 0.5) }).collect()
        };
        let who = |person: &u64| id(&name(*person));
        let done = match operation {
            Operation::Create(person, faces) => {
                store.create_person(&t, super::person(&name(*person)), &[], samples(*person, faces)).await.map(drop)
            }
            Operation::Delete(person) => store.delete_person(&t, &who(person), now()).await.map(drop),
            Operation::Add(person, faces) => store.add_faces(&t, &who(person), samples(*person, faces)).await.map(drop),
            Operation::Forget(person, place) => store.delete_face(&t, &who(person), self.face(*person, *place)).await,
            Operation::Move(person, place, to) => {
                let (face, photos) = (self.face(*person, *place), PersonPhotos::default());
                store.move_face(&t, &who(person), face, &who(to), photos).await.map(drop)
            }
            Operation::Merge(person, from) => {
                store.merge_people(&t, &who(person), &who(from), PersonPhotos::default()).await.map(drop)
            }
            Operation::Join(person, groups) => {
                let groups = Some(groups.iter().map(|group| group.parse().unwrap()).collect());
                let change = PersonChange { groups, at: now(), ..PersonChange::default() };
                store.update_person(&t, &who(person), change).await.map(drop)
            }
            Operation::Mark(group, people) => {
                let names: Vec<String> = people.iter().map(|person| name(*person)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                store.mark_photo(&t, photo(group, DAY, &names)).await.map(drop)
            }
        };
        done.map_err(|error| error.code())
    }
}

/// What is stored, as the model has it.
pub(in crate::store) async fn stored(fixture: &Fixture) -> Model {
    let mut model = Model::default();
    for record in everybody(fixture, "t").await.unwrap() {
        let faces = record.faces.iter().map(|face| face.id).collect();
        let groups = record.groups.iter().map(ToString::to_string).collect();
        model.0.insert(record.person.id.to_string(), Known { faces, groups, seen_in: BTreeSet::new() });
    }
    for group in GROUPS {
        for record in fixture.records_on("t", group, DAY).await {
            model.0.get_mut(record.person.as_str()).unwrap().seen_in.insert(group.to_owned());
        }
    }
    model
}

fn seeds() -> Vec<u64> {
    match std::env::var("ROLLCALL_TEST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => SEEDS.collect(),
    }
}

#[tokio::test]
async fn every_sequence_of_operations_does_what_a_plain_map_does() {
    for seed in seeds() {
        let (mut fixture, mut model, mut random) = (Fixture::new().await, Model::default(), Random(!seed));
        for (number, operation) in operations(seed).iter().enumerate() {
            let answer = model.run(&fixture, operation).await;
            assert_eq!(answer, model.apply(operation), "seed {seed}, operation {number}: {operation:?}");
            if random.below(8) == 0 {
                assert_eq!(stored(&fixture).await, model, "seed {seed}, after operation {number}");
            }
            if random.below(40) == 0 {
                fixture.reopen();
            }
        }
        assert_eq!(stored(&fixture).await, model, "seed {seed}");
        assert!(fixture.check(|_| None).await.unwrap().is_sound(), "seed {seed}");
    }
}

/// Those that are about different people do not depend on their order.
#[tokio::test(flavor = "multi_thread")]
async fn operations_that_come_at_once_are_all_done() {
    for seed in seeds() {
        let (fixture, mut model) = (Fixture::new().await, Model::default());
        for operations in operations(seed).chunks(16) {
            let mut met = BTreeSet::new();
            let apart = |operation: &&Operation| match operation {
                Operation::Create(one, _)
                | Operation::Delete(one)
                | Operation::Add(one, _)
                | Operation::Forget(one, _)
                | Operation::Join(one, _) => met.insert(*one),
                Operation::Move(one, _, other) | Operation::Merge(one, other) => {
                    one != other && !met.contains(one) && met.insert(*other) && met.insert(*one)
                }
                Operation::Mark(_, people) => people.iter().all(|one| met.insert(*one)),
            };
            let at_once: Vec<&Operation> = operations.iter().filter(apart).collect();
            let answers = join_all(at_once.iter().map(|operation| model.run(&fixture, operation))).await;
            for (operation, answer) in at_once.into_iter().zip(answers) {
                assert_eq!(answer, model.apply(operation), "seed {seed}: {operation:?}");
            }
            assert_eq!(stored(&fixture).await, model, "seed {seed}");
        }
        assert!(fixture.check(|_| None).await.unwrap().is_sound(), "seed {seed}");
    }
}
