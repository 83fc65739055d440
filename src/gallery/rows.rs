//! The rows of a gallery: one vector each, in blocks that searches share with changes.
//!
//! A search takes the blocks as they are, which is a counter a block, and lets go of the lock. A change that meets a
//! block in use copies that one block, so neither waits for the other. A removed row is filled with the last one:
//! there are no holes to skip.

use std::sync::Arc;

use crate::domain::{FaceId, PersonId};

/// Rows in a block: 2 MiB of 512 numbers each, copied in a fraction of a millisecond.
pub(super) const BLOCK_ROWS: usize = 1024;

/// Rows that lie together.
#[derive(Clone, Default)]
pub(super) struct Block {
    vectors: Vec<f32>,
    faces: Vec<FaceId>,
    people: Vec<PersonId>,
}

impl Block {
    /// How many rows it has.
    pub(super) fn len(&self) -> usize {
        self.faces.len()
    }

    /// The vectors of all rows, one after the other.
    pub(super) fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Whose row it is. All rows of a person share one allocation.
    pub(super) fn person(&self, row: usize) -> &PersonId {
        &self.people[row]
    }

    /// Which sample the row is.
    pub(super) fn face(&self, row: usize) -> FaceId {
        self.faces[row]
    }
}

/// All rows, numbered from 0.
pub(super) struct Rows {
    dimension: usize,
    blocks: Vec<Arc<Block>>,
    len: usize,
}

impl Rows {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, blocks: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The blocks, in order; all but the last are full.
    pub(super) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// The block of a row, and the row's place in it.
    pub(super) fn locate(&self, row: u32) -> (&Block, usize) {
        (&self.blocks[row as usize / BLOCK_ROWS], row as usize % BLOCK_ROWS)
    }

    pub(super) fn vector(&self, row: u32) -> &[f32] {
        let (block, at) = self.locate(row);
        &block.vectors[at * self.dimension..][..self.dimension]
    }

    pub(super) fn face(&self, row: u32) -> FaceId {
        let (block, at) = self.locate(row);
        block.face(at)
    }

    /// Appends a row and returns its number.
    pub(super) fn push(&mut self, person: PersonId, face: FaceId, vector: &[f32]) -> u32 {
        if self.len.is_multiple_of(BLOCK_ROWS) {
            self.blocks.push(Arc::default());
        }
        let block = Arc::make_mut(&mut self.blocks[self.len / BLOCK_ROWS]);
        block.vectors.extend_from_slice(vector);
        block.faces.push(face);
        block.people.push(person);
        self.len += 1;
        (self.len - 1) as u32
    }

    /// Gives a row another vector.
    pub(super) fn set_vector(&mut self, row: u32, vector: &[f32]) {
        let block = Arc::make_mut(&mut self.blocks[row as usize / BLOCK_ROWS]);
        block.vectors[row as usize % BLOCK_ROWS * self.dimension..][..self.dimension].copy_from_slice(vector);
    }

    /// Removes a row. The last row takes its number, and its person is returned, unless it was the last itself.
    pub(super) fn swap_remove(&mut self, row: u32) -> Option<PersonId> {
        self.len -= 1;
        let last = Arc::make_mut(&mut self.blocks[self.len / BLOCK_ROWS]);
        let vector = last.vectors.split_off((self.len % BLOCK_ROWS) * self.dimension);
        let (face, person) = last.faces.pop().zip(last.people.pop())?;
        if self.len.is_multiple_of(BLOCK_ROWS) {
            self.blocks.pop();
        }
        if row as usize == self.len {
            return None;
        }
        self.set_vector(row, &vector);
        let block = Arc::make_mut(&mut self.blocks[row as usize / BLOCK_ROWS]);
        block.faces[row as usize % BLOCK_ROWS] = face;
        block.people[row as usize % BLOCK_ROWS] = person.clone();
        Some(person)
    }
}
