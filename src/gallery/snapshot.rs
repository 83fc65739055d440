//! A graph as bytes, for the next start: building one takes minutes.
//!
//! The codes are not kept: making them anew from the rows, which a start reads anyhow, is cheaper than reading them
//! and finding out which of them still hold.
//!
//! Rows have other numbers after a restart, and samples come and go without the snapshot hearing of it. So it names
//! each node by its sample's id and a checksum of its vector, and whoever reads it says which row that is now. A node
//! without one stays as [`GONE`], a row without a node is found by the codes: nothing has to be replayed.
//!
//! ```text
//! offset 0   8 bytes  magic
//! offset 8   u32      version of the layout
//! offset 12  u32      crc32c of all that follows
//! offset 16  text     the model: its length (u32), its bytes
//!            4 × u32  m, ef_construction, nodes, layers
//!            nodes    of each: sample (16 bytes), crc32c of its vector (u32)
//!            layers   of each, lowest first: nodes (u32), neighbours (u32), offsets (nodes + 1 × u32), neighbours
//! ```
//!
//! All numbers are little-endian.

use std::fmt;

use super::graph::{GONE, Graph, GraphOptions, Layer};
use domain::{FaceId, ModelId};

const MAGIC: &[u8; 8] = b"rc-graph";
const VERSION: u32 = 1;
/// Where the checksum's subject begins.
const BODY: usize = 16;

/// What tells a sample's vector from every other: its id and the vector's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) face: FaceId,
    pub(super) checksum: u32,
}

impl Fingerprint {
    pub(super) fn new(face: FaceId, vector: &[f32]) -> Self {
        // A number at a time would be a call each; the buffer keeps it at the speed of memory.
        let mut bytes = [0_u8; 256];
        let checksum = vector.chunks(bytes.len() / 4).fold(0, |checksum, numbers| {
            let bytes = &mut bytes[..numbers.len() * 4];
            bytes.chunks_exact_mut(4).zip(numbers).for_each(|(to, number)| to.copy_from_slice(&number.to_le_bytes()));
            crc32c::crc32c_append(checksum, bytes)
        });
        Self { face, checksum }
    }
}

/// Why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Not what [`encode`] wrote.
    Damaged,
    /// A later version of this program wrote it.
    Newer,
    /// Made of another model's vectors, or with other options.
    Other,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "it is damaged",
            Self::Newer => "a newer version of this program wrote it",
            Self::Other => "it was made of another model or with other settings",
        })
    }
}

/// The bytes of `graph`, whose rows were made by `model`; `fingerprint` is that of a row.
pub(super) fn encode(graph: &Graph, model: &ModelId, fingerprint: impl Fn(u32) -> Fingerprint) -> Vec<u8> {
    let GraphOptions { m, ef_construction } = graph.options();
    let mut out = Vec::with_capacity(graph.memory_bytes() + graph.rows().len() * 20);
    out.extend_from_slice(MAGIC);
    put(&mut out, [VERSION, 0]);
    let model = model_text(model);
    put(&mut out, [model.len() as u32]);
    out.extend_from_slice(model.as_bytes());
    put(&mut out, [m as u32, ef_construction as u32, graph.rows().len() as u32, graph.layers().len() as u32]);
    for &row in graph.rows() {
        // A node that was gone already names no sample: version 7 ids are never all ones.
        let gone = Fingerprint { face: FaceId::from_bytes([0xFF; 16]), checksum: 0 };
        let Fingerprint { face, checksum } = if row == GONE { gone } else { fingerprint(row) };
        out.extend_from_slice(face.as_bytes());
        put(&mut out, [checksum]);
    }
    for layer in graph.layers() {
        let (offsets, neighbours) = layer.parts();
        put(&mut out, [offsets.len() as u32 - 1, neighbours.len() as u32]);
        put(&mut out, offsets.iter().copied());
        put(&mut out, neighbours.iter().copied());
    }
    let checksum = crc32c::crc32c(&out[BODY..]).to_le_bytes();
    out[BODY - 4..BODY].copy_from_slice(&checksum);
    out
}

/// The graph in `bytes`; `row_of` says which row a sample is now, if it is still there with this very vector.
pub(super) fn decode(
    bytes: &[u8],
    model: &ModelId,
    options: GraphOptions,
    row_of: impl Fn(Fingerprint) -> Option<u32>,
) -> Result<Graph, Doubt> {
    let mut reader = Reader(bytes);
    if reader.take(MAGIC.len()) != Some(MAGIC) {
        return Err(Doubt::Damaged);
    }
    let (version, checksum) = reader.number().zip(reader.number()).ok_or(Doubt::Damaged)?;
    if version > VERSION {
        return Err(Doubt::Newer);
    }
    if version != VERSION || crc32c::crc32c(reader.0) != checksum {
        return Err(Doubt::Damaged);
    }
    let Some((made_by, m, ef_construction)) = reader.origin() else { return Err(Doubt::Damaged) };
    if made_by != model_text(model).as_bytes() || (m, ef_construction) != (options.m, options.ef_construction) {
        return Err(Doubt::Other);
    }
    // The checksum holds, so what follows is what was written; it is checked all the same, for a search trusts it.
    reader.graph(options, row_of).ok_or(Doubt::Damaged)
}

fn model_text(model: &ModelId) -> String {
    format!("{}/{}/{}", model.name, model.dimension, model.postprocessing)
}

fn put(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    out.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn numbers(&mut self, count: usize) -> Option<Vec<u32>> {
        let bytes = self.take(count.checked_mul(4)?)?;
        Some(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// The model's text, `m` and `ef_construction`.
    fn origin(&mut self) -> Option<(&'a [u8], usize, usize)> {
        let len = self.number()?;
        let model = self.take(len as usize)?;
        Some((model, self.number()? as usize, self.number()? as usize))
    }

    fn graph(&mut self, options: GraphOptions, row_of: impl Fn(Fingerprint) -> Option<u32>) -> Option<Graph> {
        let (num_nodes, num_layers) = (self.number()? as usize, self.number()? as usize);
        let nodes = self.take(num_nodes.checked_mul(20)?)?;
        let fingerprints = nodes.chunks_exact(20).filter_map(|node| {
            let (face, checksum) = node.split_first_chunk::<16>()?;
            let checksum = u32::from_le_bytes(checksum.try_into().ok()?);
            Some(Fingerprint { face: FaceId::from_bytes(*face), checksum })
        });
        let rows = fingerprints.map(|fingerprint| row_of(fingerprint).unwrap_or(GONE)).collect();
        let layers = (0..num_layers).map(|_| self.layer()).collect::<Option<Vec<_>>>()?;
        if self.0.is_empty() { Graph::new(options, rows, layers) } else { None }
    }

    fn layer(&mut self) -> Option<Layer> {
        let (num_nodes, num_neighbours) = (self.number()? as usize, self.number()? as usize);
        let offsets = self.numbers(num_nodes.checked_add(1)?)?;
        Layer::new(offsets, self.numbers(num_neighbours)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPTIONS: GraphOptions = GraphOptions { m: 4, ef_construction: 16 };

    fn model() -> ModelId {
        ModelId { name: "net".into(), dimension: 8, postprocessing: 1 }
    }

    fn face(row: u32) -> FaceId {
        FaceId::from_bytes([row as u8 + 1; 16])
    }

    fn fingerprint(row: u32) -> Fingerprint {
        Fingerprint { face: face(row), checksum: row * 7 }
    }

    fn graph() -> Graph {
        let lowest = Layer::new(vec![0, 2, 4, 5, 6], vec![1, 2, 0, 3, 0, 1]).unwrap();
        let upper = Layer::new(vec![0, 1, 2], vec![1, 0]).unwrap();
        Graph::new(OPTIONS, vec![30, 10, 20, GONE], vec![lowest, upper]).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Graph, Doubt> {
        decode(bytes, &model(), OPTIONS, |found| [10, 20, 30].into_iter().find(|&row| fingerprint(row) == found))
    }

    /// `bytes` with a checksum that fits them.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = crc32c::crc32c(&bytes[BODY..]).to_le_bytes();
        bytes[BODY - 4..BODY].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn a_graph_comes_back_with_the_rows_that_its_samples_have_now() {
        let bytes = encode(&graph(), &model(), fingerprint);
        assert_eq!(read(&bytes).unwrap(), graph());
        let moved = decode(&bytes, &model(), OPTIONS, |found| match found.face {
            _ if found == fingerprint(10) => Some(0),
            _ if found == fingerprint(30) => Some(7),
            _ => None,
        });
        assert_eq!(moved.unwrap().rows(), [7, 0, GONE, GONE]);
    }

    #[test]
    fn every_bit_flip_and_every_cut_is_noticed() {
        let bytes = encode(&graph(), &model(), fingerprint);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&flipped), Err(Doubt::Damaged | Doubt::Newer)), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Err(Doubt::Damaged), "cut at {length}");
        }
        assert_eq!(read(&[bytes.as_slice(), &[0]].concat()), Err(Doubt::Damaged));
    }

    #[test]
    fn what_was_made_otherwise_or_later_is_refused_by_its_reason() {
        let mut newer = encode(&graph(), &model(), fingerprint);
        newer[8] = 2;
        assert_eq!(read(&newer), Err(Doubt::Newer));
        let other = ModelId { postprocessing: 2, ..model() };
        assert_eq!(read(&encode(&graph(), &other, fingerprint)), Err(Doubt::Other));
        let bytes = encode(&graph(), &model(), fingerprint);
        let options = GraphOptions { m: 5, ..OPTIONS };
        assert_eq!(decode(&bytes, &model(), options, |_| None), Err(Doubt::Other));
    }

    #[test]
    fn a_vector_that_changed_is_another_sample() {
        let vectors = [vec![0.5_f32; 100], vec![0.5; 99], [vec![0.5; 99], vec![0.500_000_1]].concat()];
        let checksums = vectors.map(|vector| Fingerprint::new(face(1), &vector).checksum);
        assert!(checksums[0] != checksums[1] && checksums[0] != checksums[2]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_under_a_right_checksum_never_panic(
            at in BODY..200_usize, with in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = encode(&graph(), &model(), fingerprint);
            let at = at.min(bytes.len());
            let end = (at + with.len()).min(bytes.len());
            bytes.splice(at..end, with);
            if let Ok(graph) = read(&resealed(bytes)) {
                // What is taken can be searched.
                graph.search(10, |rows, out| out.extend(rows.iter().map(|&row| row as f32)));
            }
        }
    }
}
