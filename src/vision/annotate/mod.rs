//! A copy of the photo with boxes, numbers and names drawn into it, and a legend under it.

mod canvas;
mod layout;
mod legend;
mod plate;
mod text;

pub use self::text::Fonts;
use self::{
    canvas::{Area, BLACK, Canvas, Color, Pattern, WHITE},
    layout::Layout,
    legend::Legend,
};
use super::{jpeg, photo::Photo};
use domain::FaceBox;
use error::Result;

/// What is known of a face, which decides how it is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationKind {
    /// Blue, solid.
    Named,
    /// Orange, dashed, with a question mark.
    Unknown,
    /// Purple, dotted, with an exclamation mark.
    NotLive,
}

impl AnnotationKind {
    /// All of them, as the legend lists them.
    const ALL: [Self; 3] = [Self::Named, Self::Unknown, Self::NotLive];

    /// Of the palette that Okabe and Ito chose for all kinds of colour vision.
    const fn color(self) -> Color {
        match self {
            Self::Named => [0, 114, 178],
            Self::Unknown => [230, 159, 0],
            Self::NotLive => [204, 121, 167],
        }
    }

    /// What can be read on its colour.
    const fn ink(self) -> Color {
        match self {
            Self::Named => WHITE,
            Self::Unknown | Self::NotLive => BLACK,
        }
    }

    const fn pattern(self) -> Pattern {
        match self {
            Self::Named => Pattern::Solid,
            Self::Unknown => Pattern::Dashed,
            Self::NotLive => Pattern::Dotted,
        }
    }

    /// What stands behind its number.
    const fn mark(self) -> &'static str {
        match self {
            Self::Named => "",
            Self::Unknown => "?",
            Self::NotLive => "!",
        }
    }

    /// As the legend says it.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Unknown => "?  not named",
            Self::NotLive => "!  not a live face",
        }
    }
}

/// One box to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Where, in pixels of the photo; parts outside are left out.
    pub bbox: FaceBox,
    /// What it is called in the answer, too.
    pub number: usize,
    /// What its person may be called, best first, in any script: the first is written whose letters a font has. Empty
    /// where nobody was named.
    pub names: Vec<String>,
    /// How similar it is to its person, for the legend.
    pub similarity: Option<f32>,
    /// Its state.
    pub kind: AnnotationKind,
}

/// What [`annotate`] holds beside the photo for a legend, in bytes; the JPEG that it makes comes to that.
pub fn legend_bytes(photo: &Photo, annotations: &[Annotation]) -> usize {
    Legend::new(photo.width(), photo.height(), annotations).bytes()
}

/// Draws `annotations` into `photo` and encodes it as JPEG, with a legend under it if that is wanted. Lines and letters
/// grow with the photo. Every face has a number, which stands on a plate beside it that covers no other face and is
/// never cut; names stand there where there is room, and all of them in the legend.
///
/// Errors: `internal` if the encoder fails.
pub fn annotate(photo: Photo, annotations: &[Annotation], fonts: &Fonts, has_legend: bool) -> Result<Vec<u8>> {
    let (width, height, longest_side) = (photo.width(), photo.height(), photo.longest_side() as f32);
    let stroke = (longest_side / 400.0).round().max(2.0);
    let mut pixels = photo.into_pixels();
    let mut canvas = Canvas { width, height, pixels: &mut pixels };
    for Annotation { bbox: FaceBox { x1, y1, x2, y2 }, kind, .. } in annotations {
        canvas.frame(&Area { left: *x1, top: *y1, right: *x2, bottom: *y2 }, stroke, kind.color(), kind.pattern());
    }
    let mut layout = Layout::new(width, height, stroke + 1.0, annotations.iter().map(|annotation| annotation.bbox));
    let plates = plate::plates(annotations, fonts, &mut layout, longest_side);
    for (face, plate) in plates.iter().enumerate() {
        if let (Some(plate), Some(area)) = (plate, layout.plate(face)) {
            plate.draw(&mut canvas, [area.left, area.top], annotations[face].kind);
        }
    }
    let legend = Some(Legend::new(width, height, annotations)).filter(|_| has_legend);
    let legend = legend.map(|legend| legend.drawn(annotations, fonts)).unwrap_or_default();
    jpeg::encode(&[&pixels, &legend], width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, decode, read_header};

    fn grey_photo() -> Photo {
        Photo::new(400, 300, vec![128; 400 * 300 * 3]).unwrap()
    }

    fn drawn(annotations: &[Annotation]) -> Photo {
        let jpeg = annotate(grey_photo(), annotations, &Fonts::new(None).unwrap(), true).unwrap();
        let limits = DecodeLimits::default();
        decode(&jpeg, &read_header(&jpeg, &limits).unwrap(), &limits).unwrap()
    }

    fn annotation(x1: f32, y1: f32, name: &str, kind: AnnotationKind) -> Annotation {
        let bbox = FaceBox { x1, y1, x2: x1 + 60.0, y2: y1 + 80.0 };
        let names = Some(name.to_owned()).filter(|name| !name.is_empty()).into_iter().collect();
        Annotation { bbox, number: 1, names, similarity: Some(0.5), kind }
    }

    fn pixel(photo: &Photo, x: usize, y: usize) -> [u8; 3] {
        let offset = y * photo.stride() + x * 3;
        [0, 1, 2].map(|channel| photo.pixels()[offset + channel])
    }

    fn near(a: [u8; 3], b: [u8; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 70)
    }

    #[test]
    fn the_frame_has_its_colour_and_the_face_stays_untouched() {
        for kind in AnnotationKind::ALL {
            let photo = drawn(&[annotation(100.0, 100.0, "", kind)]);
            assert!(near(pixel(&photo, 99, 99), kind.color()), "{kind:?}: {:?}", pixel(&photo, 99, 99));
            assert!(near(pixel(&photo, 130, 140), [128; 3]));
            assert!(near(pixel(&photo, 300, 250), [128; 3]));
        }
    }

    #[test]
    fn only_the_frames_of_named_faces_run_through() {
        let gaps = |kind: AnnotationKind| {
            let photo = drawn(&[annotation(100.0, 100.0, "", kind)]);
            (100..160).filter(|&x| near(pixel(&photo, x, 181), WHITE)).count()
        };
        assert_eq!(gaps(AnnotationKind::Named), 0);
        assert!(gaps(AnnotationKind::Unknown) > 10 && gaps(AnnotationKind::NotLive) > 10);
    }

    /// Pixels of the plate above the box.
    fn plate_width(name: &str) -> usize {
        let photo = drawn(&[annotation(100.0, 100.0, name, AnnotationKind::Named)]);
        (0..400).filter(|&x| near(pixel(&photo, x, 94), AnnotationKind::Named.color())).count()
    }

    #[test]
    fn a_plate_has_the_name_where_it_can_be_written_and_the_number_always() {
        let number = plate_width("");
        assert!(number > 8, "{number}");
        for name in ["Zoë", "Ольга", "محمد"] {
            assert!(plate_width(name) > number + 20, "{name}");
        }
        for name in ["陳小明", &"wider than the whole photo ".repeat(4)] {
            assert_eq!(plate_width(name), number, "{name}");
        }
    }

    #[test]
    fn the_legend_stands_under_the_photo_and_takes_what_it_said() {
        assert_eq!(legend_bytes(&grey_photo(), &[]), 0, "there is nothing to say");
        for people in [1, 3, 40] {
            let annotations: Vec<_> =
                (0..people).map(|n| annotation(n as f32 * 9.0, 10.0, "Ada", AnnotationKind::Named)).collect();
            let photo = drawn(&annotations);
            let legend = (photo.height() - 300) as usize;
            assert!((18..=300).contains(&legend), "{people}: {legend}");
            assert_eq!(legend_bytes(&grey_photo(), &annotations), legend * photo.stride());
            let inked = (300..photo.height() as usize).flat_map(|y| (0..400).map(move |x| (x, y)));
            assert!(inked.filter(|&(x, y)| pixel(&photo, x, y)[0] < 100).count() > 20, "{people}");
        }
    }

    #[test]
    fn boxes_and_names_over_the_edges_are_survived() {
        let long = "a very long name that is wider than the whole photo, ".repeat(4);
        for (x, y) in [(-30.0, -40.0), (390.0, 290.0), (-5000.0, 9000.0), (f32::NAN, f32::INFINITY)] {
            let photo = drawn(&[annotation(x, y, &long, AnnotationKind::Unknown)]);
            assert_eq!(photo.width(), 400);
        }
        let fonts = Fonts::new(None).unwrap();
        for (width, height) in [(1, 1), (1, 60_000), (60_000, 1), (3, 65_535)] {
            let photo = Photo::new(width, height, vec![9; width as usize * height as usize * 3]).unwrap();
            let annotations = [annotation(0.0, 0.0, "x", AnnotationKind::Named)];
            assert!(annotate(photo, &annotations, &fonts, true).is_ok(), "{width}×{height}");
        }
    }
}
