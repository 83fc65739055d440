//! Records of photos: they go where their samples go.

use super::*;
use crate::{
    domain::{KeptPhoto, PhotoFile, PhotoForm, PhotoKey, PhotoPolicy},
    store::{
        NewFaces, PersonPhotos,
        keys::{self, Kind, Parsed},
    },
};

/// A sample with its photo, in the file of this byte, and its person's key.
pub(super) fn with_photo(sample: &FaceSample, file: u8) -> NewFaces {
    let key = PhotoKey { person: sample.person.clone(), sealed: vec![file; 40] };
    let photos = vec![photo(sample.id, sample.person.as_str(), file)];
    NewFaces { samples: vec![sample.clone()], photos: PersonPhotos { key: Some(key), photos }, judged_under: None }
}

fn photo(face: FaceId, person: &str, file: u8) -> KeptPhoto {
    let file = PhotoFile::from_bytes([file; 16]);
    KeptPhoto { face, person: id(person), file, form: PhotoForm::Crop, kept_at: now() }
}

async fn files(store: &Store, person: &str) -> Vec<u8> {
    let kept = store.photos(&scope("t"), &id(person)).await.unwrap().photos;
    kept.into_iter().map(|photo| photo.file.as_bytes()[0]).collect()
}

#[tokio::test]
async fn a_photo_goes_with_its_sample_and_a_key_with_its_person() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let [one, two] = [0.1, 0.2].map(|first| sample("p", first));
    fixture.create_person(&t, person("p"), &[], with_photo(&one, 1)).await.unwrap();
    fixture.add_faces(&t, &id("p"), with_photo(&two, 2)).await.unwrap();
    assert_eq!(files(&fixture, "p").await, [1, 2]);
    fixture.delete_face(&t, &id("p"), one.id).await.unwrap();
    assert_eq!(files(&fixture, "p").await, [2]);
    fixture.replace_faces(&t, &id("p"), with_photo(&one, 3)).await.unwrap();
    assert_eq!(files(&fixture, "p").await, [3]);
    // One that is not there any more as it was is not forgotten.
    let (stale, kept) = (photo(one.id, "p", 2), photo(one.id, "p", 3));
    fixture.forget_photos(&t, vec![stale]).await.unwrap();
    let (some, next) = fixture.some_photos(&t, None).await.unwrap();
    assert_eq!(some, std::slice::from_ref(&kept));
    assert_eq!(fixture.some_photos(&t, next).await.unwrap(), (vec![], None));
    fixture.forget_photos(&t, vec![kept]).await.unwrap();
    assert_eq!(files(&fixture, "p").await, Vec::<u8>::new());
    fixture.replace_faces(&t, &id("p"), with_photo(&one, 4)).await.unwrap();
    fixture.delete_person(&t, &id("p"), now()).await.unwrap();
    assert_eq!(fixture.photos(&t, &id("p")).await.unwrap_err().code(), "person_not_found");
    let is_of_photos =
        |key: &Vec<u8>| matches!(keys::parse(key), Some(Parsed::Data(_, Kind::KeptPhoto(..) | Kind::PhotoKey(_))));
    assert_eq!(content(&fixture).into_keys().filter(is_of_photos).count(), 0);
}

#[tokio::test]
async fn moved_samples_take_the_photos_that_were_made_for_their_new_person() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let [one, two, three] = [0.1, 0.2, 0.3].map(|first| sample("p", first));
    fixture.create_person(&t, person("p"), &[], with_photo(&one, 1)).await.unwrap();
    fixture.add_faces(&t, &id("p"), with_photo(&two, 2)).await.unwrap();
    fixture.add_faces(&t, &id("p"), with_photo(&three, 3)).await.unwrap();
    fixture.enrol("q", &[], vec![sample("q", 0.5)]).await.unwrap();
    let key = PhotoKey { person: id("q"), sealed: vec![9; 40] };
    let moved = PersonPhotos { key: Some(key.clone()), photos: vec![photo(one.id, "q", 11)] };
    let refused = fixture.move_face(&t, &id("p"), one.id, &id("q"), moved.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "rules_changed", "photos are kept no more");
    fixture.update_tenant(&t, |_, settings| settings.photos.policy = PhotoPolicy::Crops).await.unwrap();
    fixture.move_face(&t, &id("p"), one.id, &id("q"), moved).await.unwrap();
    assert_eq!((files(&fixture, "p").await, files(&fixture, "q").await), (vec![2, 3], vec![11]));
    // Removed while it was written anew, one does not come back; one that could not be read is left behind.
    fixture.forget_photos(&t, vec![photo(two.id, "p", 2)]).await.unwrap();
    let moved = PersonPhotos { key: None, photos: vec![photo(two.id, "q", 12)] };
    fixture.merge_people(&t, &id("q"), &id("p"), moved).await.unwrap();
    assert_eq!(fixture.photos(&t, &id("q")).await.unwrap().key, Some(key));
    assert_eq!(files(&fixture, "q").await, [11]);
    let report = fixture.check(|_| None).await.unwrap();
    assert!(report.is_sound() && report.records["photo_key"] == 1, "{report:?}");
}
