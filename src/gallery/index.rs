//! What a gallery holds, and the changes to it. Rows are only appended: a removed row leaves a tombstone, a changed
//! one a tombstone and a new row, until a rebuild leaves the tombstones out.

use std::sync::Arc;

use super::{
    codes::{CodeColumns, GROUP_ROWS},
    column::{Column, Slots},
    graph::Graph,
    people::{NO_ROW, People},
    view::{Removed, View},
};
use domain::{FaceId, FaceSample};

/// Rows in the first chunk of a column, and how often chunks double: up to 16 384 rows.
const ROW_CHUNKS: (usize, u32) = (64, 8);

/// All rows of a gallery, and whose they are.
pub(super) struct Index {
    dimension: usize,
    vectors: Column<f32>,
    faces: Column<[u8; 16]>,
    owners: Column<u32>,
    codes: CodeColumns,
    /// For each row the next of the same person, or [`NO_ROW`]. Removed rows are in nobody's chain.
    next_rows: Slots,
    removed: Removed,
    people: People,
    graph: Option<Kept>,
    numbering: Arc<()>,
}

/// A graph, and how far behind the rows it was when it came.
struct Kept {
    graph: Arc<Graph>,
    /// Rows without a node and nodes without a row.
    amiss: usize,
    /// Rows and removed rows at that time.
    rows: usize,
    removed: usize,
}

impl Index {
    /// An empty index for vectors of `dimension` numbers.
    pub(super) fn new(dimension: usize) -> Self {
        let (first, doublings) = ROW_CHUNKS;
        Self {
            dimension,
            vectors: Column::new(first * dimension, doublings),
            faces: Column::new(first, doublings),
            owners: Column::new(first, doublings),
            codes: CodeColumns::new(dimension),
            next_rows: Slots::default(),
            removed: Removed::default(),
            people: People::new(),
            graph: None,
            numbering: Arc::default(),
        }
    }

    /// The rows as they are now.
    pub(super) fn view(&self) -> View {
        View {
            dimension: self.dimension,
            vectors: self.vectors.view(),
            faces: self.faces.view(),
            owners: self.owners.view(),
            names: self.people.names(),
            codes: self.codes.view(),
            removed: self.removed.clone(),
            graph: self.graph.as_ref().map(|kept| Arc::clone(&kept.graph)),
            numbering: Arc::clone(&self.numbering),
            len: self.next_rows.len(),
        }
    }

    /// Rows, removed ones included.
    pub(super) fn rows(&self) -> usize {
        self.next_rows.len()
    }

    /// Rows that can be found.
    pub(super) fn live(&self) -> usize {
        self.next_rows.len() - self.removed.count()
    }

    /// People that can be found.
    pub(super) fn people(&self) -> usize {
        self.people.present()
    }

    fn face(&self, row: u32) -> FaceId {
        FaceId::from_bytes(self.faces.get(row as usize))
    }

    /// A person's number, if they ever had rows.
    pub(super) fn person(&self, id: &str) -> Option<u32> {
        self.people.number(id)
    }

    /// The rows of a person.
    pub(super) fn rows_of(&self, person: u32) -> impl Iterator<Item = u32> {
        let row = |row: u32| (row != NO_ROW).then_some(row);
        std::iter::successors(row(self.people.first_row(person)), move |&last| row(self.next_rows.get(last as usize)))
    }

    /// Adds a sample; one with a known id takes its sample's place.
    pub(super) fn insert(&mut self, sample: &FaceSample) {
        let person = sample.person.as_str();
        self.remove(person, |face| face == sample.id);
        self.append(person, sample.id, &sample.vector);
    }

    /// Adds a sample that is not there.
    pub(super) fn append(&mut self, person: &str, face: FaceId, vector: &[f32]) {
        let person = self.people.number_or_new(person);
        let row = self.next_rows.len() as u32;
        self.vectors.push(vector);
        self.faces.push(&[*face.as_bytes()]);
        self.owners.push(&[person]);
        self.next_rows.push(self.people.first_row(person));
        self.people.set_first_row(person, row);
        let rows = self.next_rows.len();
        if rows.is_multiple_of(GROUP_ROWS) {
            let group = self.vectors.slice((rows - GROUP_ROWS) * self.dimension, GROUP_ROWS * self.dimension);
            self.codes.push(group);
        }
    }

    /// Removes those of a person's rows whose sample `is_removed`.
    pub(super) fn remove(&mut self, person: &str, is_removed: impl Fn(FaceId) -> bool) {
        let Some(person) = self.person(person) else { return };
        let mut kept = NO_ROW;
        let mut row = self.people.first_row(person);
        while row != NO_ROW {
            let next = self.next_rows.get(row as usize);
            if is_removed(self.face(row)) {
                self.removed.insert(row);
                if kept == NO_ROW {
                    self.people.set_first_row(person, next);
                } else {
                    self.next_rows.set(kept as usize, next);
                }
            } else {
                kept = row;
            }
            row = next;
        }
    }

    /// Takes a graph over the rows of `view`; returns whether it fits, which it does not if the rows were renumbered.
    pub(super) fn set_graph(&mut self, graph: Graph, view: &View) -> bool {
        if !Arc::ptr_eq(&self.numbering, &view.numbering) {
            return false;
        }
        let (nodes, present) = (graph.rows().len(), graph.present());
        let amiss = (nodes - present) + view.live().saturating_sub(present);
        self.graph = Some(Kept { graph: Arc::new(graph), amiss, rows: view.len, removed: view.removed.count() });
        true
    }

    /// Whether it has a graph.
    pub(super) fn has_graph(&self) -> bool {
        self.graph.is_some()
    }

    /// How many rows have no node or are removed ones' nodes, as a share of the nodes; infinity without a graph.
    pub(super) fn graph_lag(&self) -> f32 {
        self.graph.as_ref().map_or(f32::INFINITY, |Kept { graph, amiss, rows, removed }| {
            let since = (self.next_rows.len() - rows) + (self.removed.count() - removed);
            (amiss + since) as f32 / graph.rows().len() as f32
        })
    }

    /// Whether so many rows were removed that it is time for a rebuild: more than a share of all, and not just a few.
    pub(super) fn is_worn(&self, rebuild_share: f32) -> bool {
        let removed = self.removed.count();
        removed >= GROUP_ROWS && removed as f32 > rebuild_share * self.rows() as f32
    }

    /// Bytes of memory, about: what was set aside for rows to come is counted as well.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.vectors.capacity_bytes()
            + self.faces.capacity_bytes()
            + self.owners.capacity_bytes()
            + self.codes.capacity_bytes()
            + self.next_rows.capacity_bytes()
            + self.removed.capacity_bytes()
            + self.people.capacity_bytes()
            + self.graph.as_ref().map_or(0, |kept| kept.graph.memory_bytes())
    }
}
