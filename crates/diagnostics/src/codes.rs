//! The codes that native code can return. The whole table, usage errors included, is in `packages/diagnostics`.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*
        /// All codes of this crate, for the test that each has a page.
        pub const ALL: &[&str] = &[$($code),*];
    };
}

codes! {
    /// A path given as a source does not exist or cannot be read.
    SOURCE_UNREADABLE = "E0201";
    /// The source holds no images.
    SOURCE_EMPTY = "E0202";
    /// A shard is shorter than its index says.
    SHARD_SHORT = "E0203";
    /// A shard or its index does not match the manifest.
    SHARD_CORRUPT = "E0204";
    /// `dataset.json` (or a file it names) is missing, cut short or not valid.
    MANIFEST_INVALID = "E0205";
    /// The prepared data set was written by another version.
    MANIFEST_VERSION = "E0206";
    /// More images than allowed could not be decoded.
    TOO_MANY_REJECTED = "E0207";
    /// A source with images of one class.
    ONE_CLASS = "E0208";
    /// The arrangement of a source's files is none that is known, or contradicts itself.
    LAYOUT_UNKNOWN = "E0209";
    /// The output folder holds something prepared with other settings.
    OUTPUT_DIFFERS = "E0210";
    /// Writing failed: disk full, no permission, or the folder vanished.
    WRITE_FAILED = "E0211";
    /// An image cannot be decoded.
    IMAGE_UNDECODABLE = "E0212";
    /// A tar archive is malformed or cut short.
    TAR_MALFORMED = "E0213";
    /// The data set's images do not have the size that the net needs.
    IMAGE_SIZE = "E0214";
    /// Another process is writing to the same output folder.
    OUTPUT_BUSY = "E0215";
    /// What was found is not what the recipe says.
    RECIPE_DIFFERS = "E0216";
    /// Parts of a data set are not there when they are to be joined.
    PARTS_MISSING = "E0217";
    /// A file of labels, classes or boxes is not what its format asks for.
    ANNOTATION_MALFORMED = "E0218";
    /// An archive is not the one that was published under its name.
    ARCHIVE_DIFFERS = "E0219";
    /// The photos are not those that the data set was made of.
    SOURCE_CHANGED = "E0220";
    /// A model or checkpoint file does not exist or cannot be read.
    MODEL_UNREADABLE = "E0301";
    /// A model or checkpoint file is cut short or damaged.
    MODEL_CORRUPT = "E0302";
    /// A safetensors file that is not one of ours, or of another version.
    MODEL_FOREIGN = "E0303";
    /// The model and the data set do not have the same classes.
    CLASSES_DIFFER = "E0307";
    /// A device cannot be used.
    DEVICE_UNUSABLE = "E0401";
    /// Not enough memory for this net at this batch size.
    OUT_OF_MEMORY = "E0402";
    /// The loss became NaN or infinite.
    DIVERGED = "E0403";
    /// The description of the network is not valid.
    NET_INVALID = "E0404";
    /// The net keeps no output of the layer that was asked for.
    LAYER_UNKNOWN = "E0411";
    /// There is no GPU driver on this machine, or it cannot be loaded.
    DRIVER_ABSENT = "E0405";
    /// The GPU driver is older than the kernels need.
    DRIVER_TOO_OLD = "E0406";
    /// The GPU is below compute capability 8.0.
    GPU_TOO_OLD = "E0407";
    /// A GPU stopped answering: it fell off the bus, was reset, or its memory failed.
    GPU_LOST = "E0408";
    /// A kernel failed: a bug, or a faulty GPU.
    GPU_FAILED = "E0409";
    /// No machine code for this GPU: none is built in and no NVRTC is there to compile it.
    NO_KERNELS = "E0410";
    /// Several ranks were started, and this build cannot bring them together.
    RANKS_UNAVAILABLE = "E0420";
    /// A rank does not answer any more.
    RANK_LOST = "E0421";
    /// Ranks were started with different settings.
    RANKS_DIFFER = "E0422";
    /// NCCL, which sums between GPUs, is not here, too old, or not to be used.
    NCCL_UNUSABLE = "E0423";
    /// NCCL failed.
    NCCL_FAILED = "E0424";
    /// Two ranks compute on one GPU.
    GPU_SHARED = "E0425";
    /// The split asked for does not exist or holds no images.
    SPLIT_EMPTY = "E0502";
    /// A file of boxes is the head of another model.
    HEAD_FOREIGN = "E0511";
    /// A box head's file is cut short, damaged or something else.
    HEAD_DAMAGED = "E0512";
    /// A data set or split has no boxes around objects.
    BOXES_MISSING = "E0513";
    /// A feature store does not exist or cannot be read.
    STORE_UNREADABLE = "E0701";
    /// A feature store is cut short or damaged.
    STORE_CORRUPT = "E0702";
    /// A feature store of another version, or something else.
    STORE_FOREIGN = "E0703";
    /// A feature store was made with another model, of other data, or in another way.
    STORE_STALE = "E0704";
    /// Features that cannot be stored or compared.
    FEATURES_UNUSABLE = "E0705";
    /// Another process is writing the same feature store.
    STORE_BUSY = "E0709";
    /// A file to import does not exist, cannot be read or has an unknown format.
    IMPORT_UNREADABLE = "E0801";
    /// A file to import is cut short, or its numbers contradict each other.
    IMPORT_CORRUPT = "E0802";
    /// A file to import holds a net of a form that we do not have.
    IMPORT_UNSUPPORTED = "E0803";
    /// The class names given are not as many as the imported net has classes.
    IMPORT_CLASSES = "E0804";
    /// The net cannot be said in the format asked for.
    EXPORT_UNSUPPORTED = "E0805";
    /// A bug: something that should not happen did.
    INTERNAL = "E0901";
    /// Stopped on request.
    INTERRUPTED = "E0902";
}
