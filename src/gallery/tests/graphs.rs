//! What becomes of a graph when its gallery is rebuilt.

use super::*;
use crate::graph::GONE;

const PEOPLE: u64 = 1500;

#[test]
fn a_rebuild_without_the_removed_rows_takes_the_graph_along() {
    let graph = GraphOptions { m: 8, ef_construction: 48 };
    let options = GalleryOptions { plan: GalleryPlan::Hnsw, graph, ef_search: 64, ..GalleryOptions::default() };
    let gallery = TenantGallery::new(model(), options);
    let samples: Vec<FaceSample> = (0..PEOPLE).map(|n| sample(&format!("p{n}"), n, n)).collect();
    gallery.insert(&samples).unwrap();
    gallery.build_graph().unwrap();
    for n in 0..100 {
        gallery.remove_person(&id(&format!("p{n}")));
    }
    let before = gallery.view();
    assert_eq!(gallery.rebuild().unwrap().removed, 100);
    let view = gallery.view();
    assert_eq!((before.len, view.len), (1500, 1400));
    let nodes = view.graph.as_ref().unwrap().rows().iter().zip(before.graph.as_ref().unwrap().rows());
    for (&new, &old) in nodes {
        let is_gone = before.removed.contains(old);
        assert!(if is_gone { new == GONE } else { view.face(new) == before.face(old) }, "row {old} is now {new}");
    }
    for n in 100..400 {
        let (query, top) = (vector(n), 3);
        let found = gallery.search(&request(&query, top, None)).unwrap();
        assert_eq!(found.effort.plan, Plan::Hnsw);
        assert_eq!(found.per_query[0], gallery.search_exactly(&query, top), "person {n}");
        assert_eq!(found.per_query[0][0].face, face(n));
    }
    // A graph that was built over the old rows is no longer taken as it is.
    let stale = before.graph.as_deref().unwrap().renumbered(|row| row);
    assert!(!gallery.set_graph(stale, &before));
}
