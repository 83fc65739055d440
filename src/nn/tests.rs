//! The networks against ONNX Runtime and themselves, and model files that are not what they should be.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    fs,
    path::PathBuf,
};

use candle_core::{Device, Tensor};
use testing::FencedLines;

use super::*;
use error::ErrorKind;

fn repository_models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// A copy of the repository's models folder that a test may spoil.
fn copied_models() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(repository_models()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn portraits() -> Tensor {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/portraits/aligned");
    let faces = blur::read_faces(&folder).unwrap();
    let side = MobileFaceNet::SIDE_PX;
    let input = Tensor::from_vec(faces.concat(), (faces.len(), side, side, 3), &Device::Cpu).unwrap();
    input.affine(1.0 / 128.0, -127.5 / 128.0).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn the_embedded_networks_answer_as_onnx_runtime_does() {
    assert_eq!(verify_embedded().unwrap().len(), Arch::ALL.len());
}

#[test]
fn the_repositorys_folder_stands_the_same_check() {
    assert_eq!(verify(&repository_models()).unwrap().len(), Arch::ALL.len());
}

#[test]
fn networks_are_shared_between_threads_and_warm_up() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    shared(Networks::embedded().unwrap()).warm_up().unwrap();
}

/// Counts what each thread asks for, and lets the networks' memory end at fences.
struct Counting;

thread_local! {
    static ALLOCATED_BYTES: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "so are allocators made")]
// SAFETY: hands everything on to another allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _ = ALLOCATED_BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller's promise.
        unsafe { FencedLines.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { FencedLines.dealloc(pointer, layout) }
    }
}

#[test]
fn a_forward_pass_allocates_nothing_but_its_answer() {
    let networks = Networks::embedded().unwrap();
    let image = |height: usize, width: usize| Tensor::zeros((1, height, width, 3), DType::F32, &Device::Cpu).unwrap();
    let square = |side_px| image(side_px, side_px);
    let (face, crop) = (square(MobileFaceNet::SIDE_PX), square(MiniFasNet::SIDE_PX));
    let (head, photo) = (square(HeadPoseNet::SIDE_PX), image(320, 640));
    let passes: [(&str, &dyn Fn() -> usize); 4] = [
        ("MobileFaceNet", &|| networks.embedder.forward(&face).unwrap().elem_count()),
        ("MiniFASNet", &|| networks.liveness.forward(&crop).map(|live| live.len()).unwrap()),
        ("head pose", &|| networks.head_pose.forward(&head).map(|poses| poses.len()).unwrap()),
        ("YuNet", &|| networks.detector.forward(&photo).map(|output| output.probabilities().len()).unwrap()),
    ];
    for (name, pass) in passes {
        let answer = pass();
        let before = ALLOCATED_BYTES.get();
        pass();
        let allocated = ALLOCATED_BYTES.get() - before;
        // The answer, its copies on the way out of the tensor, and the tensor's own few words.
        let fits = 4 * answer * size_of::<f32>() + 2048;
        assert!(allocated <= fits, "{name} allocated {allocated} bytes for {answer} numbers");
    }
}

#[test]
fn bf16_products_move_vectors_a_little_and_want_the_processor_for_it() {
    let faces = portraits();
    let exact = Networks::embedded().unwrap().embedder.embed(&faces).unwrap();
    let rounded = match Networks::load(None, Precision::Bf16) {
        Ok(networks) => networks.embedder.embed(&faces).unwrap(),
        Err(error) => return assert!(error.message().contains("AVX512_BF16"), "{error}"),
    };
    for (exact, rounded) in exact.iter().zip(&rounded) {
        let cosine = cosine(&exact.vector, &rounded.vector);
        assert!(cosine > 0.999 && exact.vector != rounded.vector, "{cosine}");
    }
}

#[test]
fn a_batch_gives_the_vectors_of_single_faces() {
    let embedder = Networks::embedded().unwrap().embedder;
    let faces = portraits();
    let together = embedder.embed(&faces).unwrap();
    for (index, face) in together.iter().enumerate() {
        let alone = &embedder.embed(&faces.narrow(0, index, 1).unwrap()).unwrap()[0];
        assert!(cosine(&face.vector, &alone.vector) > 0.999_999);
    }
}

#[test]
fn embeddings_are_unit_vectors_without_the_blur_direction() {
    let embedder = Networks::embedded().unwrap().embedder;
    for face in embedder.embed(&portraits()).unwrap() {
        let along = cosine(&face.vector, embedder.blur_direction().unwrap());
        let length: f32 = face.vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5 && along.abs() < 1e-5);
        assert!((3.0..6.0).contains(&face.norm), "a sharp portrait's raw norm: {}", face.norm);
    }
}

#[test]
fn one_person_is_nearer_than_any_other_two() {
    let embedder = Networks::embedded().unwrap().embedder;
    let defaults = embedder.defaults();
    let faces = embedder.embed(&portraits()).unwrap();
    // In the order of the file names: astronaut, biden, obama, obama2, obama3.
    let person = [0, 1, 2, 2, 2];
    for (i, j) in (0..faces.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
        let similarity = cosine(&faces[i].vector, &faces[j].vector);
        assert_eq!(similarity >= defaults.roster_threshold, person[i] == person[j], "{i} and {j}: {similarity}");
    }
}

#[test]
fn a_tensor_of_another_shape_is_refused() {
    let networks = Networks::embedded().unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_eq!(networks.embedder.forward(&zeros(&[1, 112, 110, 3])).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(networks.liveness.forward(&zeros(&[1, 3, 128, 128])).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(networks.detector.forward(&zeros(&[1, 64, 65, 3])).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(networks.head_pose.forward(&zeros(&[0, 224, 224, 3])).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn the_detector_takes_small_and_narrow_photos() {
    let detector = Networks::embedded().unwrap().detector;
    for (height, width) in [(32, 32), (32, 320), (320, 32), (96, 160)] {
        let photo = Tensor::zeros((1, height, width, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let output = detector.forward(&photo).unwrap();
        assert_eq!(output.levels().map(|level| (level.rows, level.columns))[2], (height / 32, width / 32));
        assert!(output.detections(0.6).is_empty());
    }
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    let folder = copied_models();
    let file = folder.path().join("headpose.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = Networks::load(Some(folder.path()), Precision::F32).unwrap_err();
    assert_eq!(error.code(), "bad_model");
    assert!(error.message().contains("headpose.safetensors") && error.message().contains("SHA-256"), "{error}");
}

#[test]
fn a_truncated_file_with_a_fitting_hash_is_refused_too() {
    let folder = copied_models();
    let bytes = fs::read(folder.path().join("yunet.safetensors")).unwrap();
    replace(&folder, "yunet.safetensors", &bytes[..bytes.len() - 4]);
    let error = Networks::load(Some(folder.path()), Precision::F32).unwrap_err();
    assert!(error.message().contains("yunet.safetensors: not a whole safetensors file"), "{error}");
}

#[test]
fn another_architectures_weights_are_refused_with_the_missing_name() {
    let folder = copied_models();
    let bytes = fs::read(folder.path().join("mobilefacenet.safetensors")).unwrap();
    replace(&folder, "minifasnet.safetensors", &bytes);
    let error = Networks::load(Some(folder.path()), Precision::F32).unwrap_err();
    assert!(error.message().contains("minifasnet.safetensors: not the weights"), "{error}");
}

#[test]
fn changed_weights_fail_the_known_answer() {
    let folder = copied_models();
    let mut bytes = fs::read(folder.path().join("yunet.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4000..].fill(0);
    replace(&folder, "yunet.safetensors", &bytes);
    let error = verify(folder.path()).unwrap_err();
    assert!(error.message().contains("yunet.safetensors: differs"), "{error}");
}

#[test]
fn a_missing_file_and_a_missing_manifest_are_named() {
    let folder = copied_models();
    fs::remove_file(folder.path().join("blur_direction.safetensors")).unwrap();
    assert!(
        Networks::load(Some(folder.path()), Precision::F32)
            .unwrap_err()
            .message()
            .contains("blur_direction.safetensors")
    );
    fs::remove_file(folder.path().join("MANIFEST.toml")).unwrap();
    assert!(Networks::load(Some(folder.path()), Precision::F32).unwrap_err().message().contains("MANIFEST.toml"));
}

/// Writes `bytes` as `file` and its hash into the manifest.
fn replace(folder: &tempfile::TempDir, file: &str, bytes: &[u8]) {
    let old = weights::sha256_hex(&fs::read(folder.path().join(file)).unwrap());
    let manifest = folder.path().join("MANIFEST.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace(&old, &weights::sha256_hex(bytes));
    fs::write(&manifest, text).unwrap();
    fs::write(folder.path().join(file), bytes).unwrap();
}

#[test]
fn importing_what_is_no_onnx_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    for bytes in [&b"certainly not protobuf"[..], b""] {
        fs::write(&file, bytes).unwrap();
        let error = import::import(Arch::Yunet, &file, folder.path()).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        assert!(error.message().contains("model.onnx") && error.message().contains("yunet"), "{error}");
    }
}

#[test]
fn the_published_models_where_they_are_give_the_files_of_the_repository() {
    let published = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    if !published.is_dir() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    for arch in Arch::ALL {
        let onnx = published.join(format!("{}.onnx", arch.name()));
        let imported = import::import(arch, &onnx, out.path()).unwrap();
        assert_eq!(fs::read(imported.file).unwrap(), fs::read(repository_models().join(arch.file_name())).unwrap());
        let whole = fs::read(&onnx).unwrap();
        let truncated = out.path().join("truncated.onnx");
        fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(import::import(arch, &truncated, out.path()).unwrap_err().code(), "bad_model");
    }
    let wrong = import::import(Arch::MiniFasNet, &published.join("mobilefacenet.onnx"), out.path());
    assert_eq!(wrong.unwrap_err().code(), "bad_model");
}
