use jiff::{civil::date, tz::offset};
use proptest::prelude::*;

use heifer::heifer_isobmff::HeifFile;

use super::super::{decode, fuzzing, read_header, taken};
use super::{DecodeLimits, PhotoFormat};
use crate::photo::Photo;

const LIMITS: DecodeLimits = DecodeLimits { max_bytes: 1 << 20, max_side: 4096, max_pixels: 1 << 19 };
const NAMES: [&str; 5] = ["plain", "turned", "full_chroma", "grey", "alpha"];
/// The mean of levels that each may be off: coarse chroma is made finer in different ways.
const LEVELS: [f64; 5] = [5.0, 5.0, 1.0, 1.0, 5.0];

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images/heic");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn each_kind_is_read_upright_and_as_libheif_reads_it() {
    for (name, most) in NAMES.into_iter().zip(LEVELS) {
        let bytes = fixture(&format!("{name}.heic"));
        let expected = image::load_from_memory(&fixture(&format!("{name}.png"))).unwrap().to_rgb8();
        let header = read_header(&bytes, &LIMITS).unwrap();
        assert_eq!(header.format, PhotoFormat::Heic);
        let (photo, decoding_bytes) = fuzzing::peak_bytes(|| decode(&bytes, &header, &LIMITS).unwrap());
        assert_eq!((photo.width(), photo.height()), expected.dimensions(), "{name}");
        let levels = photo.pixels().iter().zip(expected.as_raw()).map(|(one, other)| f64::from(one.abs_diff(*other)));
        let mean = levels.sum::<f64>() / photo.pixels().len() as f64;
        assert!(mean <= most, "{name} is {mean:.2} levels off");
        assert!(decoding_bytes <= header.decoded_bytes(), "{name}: {decoding_bytes} of {header:?}");
    }
}

fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    [&(8 + content.len() as u32).to_be_bytes()[..], &kind, content].concat()
}

/// A box whose content has a version.
fn full(kind: [u8; 4], version: u8, content: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[version, 0, 0, 0], content].concat())
}

/// A picture of the only piece of `bytes` side by side, as phones put together theirs, and the size of a piece. Its
/// pieces are the items 1 and on.
fn grid(bytes: &[u8], pieces: u16) -> (Vec<u8>, [u32; 2]) {
    turned_grid(bytes, pieces, 0, 0)
}

/// The same, each piece and the whole turned by a half so many times.
fn turned_grid(bytes: &[u8], pieces: u16, piece_turns: usize, turns: usize) -> (Vec<u8>, [u32; 2]) {
    let file = HeifFile::parse(bytes).unwrap();
    let (data, (width, height)) =
        (file.item_data(file.primary_id).unwrap(), file.image_size(file.primary_id).unwrap().unwrap());
    let at = bytes.windows(4).position(|four| four == b"hvcC").unwrap();
    let settings_bytes = u32::from_be_bytes(*bytes[at - 4..].first_chunk().unwrap()) as usize;
    let settings = &bytes[at - 4..at - 4 + settings_bytes];

    let id = pieces + 1;
    let item = |id: u16, kind: &[u8]| full(*b"infe", 2, &[&id.to_be_bytes()[..], &[0, 0], kind, b"\0"].concat());
    let items: Vec<u8> = (1..id).flat_map(|piece| item(piece, b"hvc1")).chain(item(id, b"grid")).collect();
    let ids: Vec<u8> = (1..id).flat_map(u16::to_be_bytes).collect();
    let parts = boxed(*b"dimg", &[&id.to_be_bytes()[..], &pieces.to_be_bytes(), &ids].concat());
    let size = |width: u32| full(*b"ispe", 0, &[width.to_be_bytes(), height.to_be_bytes()].concat());
    let whole_width = u32::from(pieces) * width;
    let half_turn = boxed(*b"irot", &[2]);
    let properties = boxed(*b"ipco", &[settings, &size(width), &size(whole_width), &half_turn].concat());
    let of = |id: u16, properties: &[u8]| [&id.to_be_bytes()[..], &[properties.len() as u8], properties].concat();
    let owned: Vec<u8> = (1..id)
        .flat_map(|piece| of(piece, &[&[0x81, 2][..], &[0x84].repeat(piece_turns)].concat()))
        .chain(of(id, &[&[3][..], &[0x84].repeat(turns)].concat()))
        .collect();
    let owners = full(*b"ipma", 0, &[&u32::from(id).to_be_bytes()[..], &owned].concat());
    // All bytes are in the box of lists, one after the other.
    let place = |id: u16, offset: usize, length: usize| {
        let extent = [(offset as u32).to_be_bytes(), (length as u32).to_be_bytes()].concat();
        [&id.to_be_bytes()[..], &[0, 1, 0, 0, 0, 1], &extent].concat()
    };
    let layout =
        [&[0, 0, 0, pieces as u8 - 1][..], &(whole_width as u16).to_be_bytes(), &(height as u16).to_be_bytes()]
            .concat();
    let end = usize::from(pieces) * data.len();
    let places: Vec<u8> = (1..id)
        .flat_map(|piece| place(piece, usize::from(piece - 1) * data.len(), data.len()))
        .chain(place(id, end, layout.len()))
        .collect();
    let lists = [
        full(*b"hdlr", 0, b"\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        full(*b"pitm", 0, &id.to_be_bytes()),
        full(*b"iinf", 0, &[&id.to_be_bytes()[..], &items].concat()),
        full(*b"iref", 0, &parts),
        boxed(*b"iprp", &[properties, owners].concat()),
        full(*b"iloc", 1, &[&[0x44, 0][..], &id.to_be_bytes(), &places].concat()),
        boxed(*b"idat", &[&data.repeat(usize::from(pieces))[..], &layout].concat()),
    ];
    let bytes = [boxed(*b"ftyp", b"heic\0\0\0\0mif1heic"), full(*b"meta", 0, &lists.concat())].concat();
    (bytes, [width, height])
}

#[test]
fn a_picture_of_pieces_is_put_together() {
    let piece = fixture("plain.heic");
    let one = decode(&piece, &read_header(&piece, &LIMITS).unwrap(), &LIMITS).unwrap();
    let (bytes, [width, height]) = grid(&piece, 3);
    let header = read_header(&bytes, &LIMITS).unwrap();
    assert_eq!((header.width, header.height), (3 * width, height));
    let (whole, held) = fuzzing::peak_bytes(|| decode(&bytes, &header, &LIMITS).unwrap());
    assert!(held <= header.decoded_bytes(), "{held} of {header:?}");
    // The container of the one shows less of it.
    let shown = (0..one.height()).flat_map(|y| (0..one.width()).map(move |x| (x, y)));
    let red = |photo: &Photo, x: u32, y: u32| photo.pixels()[3 * (y * photo.width() + x) as usize];
    for piece in 0..3 {
        let levels = shown.clone().map(|(x, y)| red(&whole, piece * width + x, y).abs_diff(red(&one, x, y)));
        let levels: u32 = levels.map(u32::from).sum();
        assert!(levels <= one.width() * one.height(), "{levels} levels off in piece {piece}");
    }
}

#[test]
fn a_picture_of_too_many_pieces_or_of_one_twice_is_refused() {
    let (bytes, _) = grid(&fixture("plain.heic"), 2);
    let at = bytes.windows(4).position(|four| four == b"dimg").unwrap() + 8;
    let mut twice = bytes.clone();
    assert_eq!(twice[at..at + 4], [0, 1, 0, 2]);
    twice[at + 3] = 1;
    assert!(read_header(&twice, &LIMITS).unwrap_err().message().contains("twice"));
    fuzzing::photo(&bytes);
    fuzzing::photo(&twice);
}

#[test]
fn a_picture_and_its_pieces_are_turned_once_at_most() {
    let piece = fixture("plain.heic");
    for (piece_turns, turns, is_read) in [(0, 1, true), (1, 1, true), (0, 2, false), (2, 0, false), (0, 200, false)] {
        let (bytes, _) = turned_grid(&piece, 2, piece_turns, turns);
        assert_eq!(read_header(&bytes, &LIMITS).is_ok(), is_read, "{piece_turns} and {turns}");
        fuzzing::photo(&bytes);
    }
}

#[test]
fn its_camera_says_when_it_was_taken() {
    let time = date(2026, 11, 23).at(9, 15, 0, 0);
    assert_eq!(taken(&fixture("turned.heic")), Some((time, Some(offset(1)))));
}

#[test]
fn what_it_may_cost_is_asked_before() {
    let bytes = fixture("turned.heic");
    for (limits, code) in [
        (DecodeLimits { max_side: 51, ..LIMITS }, "side_too_long"),
        (DecodeLimits { max_pixels: 52 * 38 - 1, ..LIMITS }, "too_many_pixels"),
    ] {
        assert_eq!(read_header(&bytes, &limits).unwrap_err().code(), code);
    }
}

#[test]
fn a_container_that_lies_of_the_size_gets_no_more_than_it_said() {
    let bytes = fixture("plain.heic");
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(b"ispe")).collect();
    assert!(!places.is_empty());
    for side in [0, 1, 30, 4096_u32] {
        let mut lying = bytes.clone();
        for at in &places {
            lying[at + 8..at + 12].copy_from_slice(&side.to_be_bytes());
        }
        fuzzing::photo(&lying);
    }
    let mut lists = bytes.clone();
    lists.extend((200_u32 << 10).to_be_bytes());
    lists.extend(b"meta");
    lists.resize(lists.len() + (200 << 10) - 8, 0);
    assert!(read_header(&lists, &LIMITS).unwrap_err().message().contains("lists more than"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damage_never_panics_nor_takes_memory_that_was_not_promised(
        which in 0..NAMES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep_all in any::<bool>(),
    ) {
        let mut bytes = fixture(&format!("{}.heic", NAMES[which]));
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if !keep_all {
            bytes.truncate(cut.index(bytes.len()));
        }
        fuzzing::photo(&bytes);
    }
}
