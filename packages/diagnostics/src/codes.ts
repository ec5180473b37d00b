/** What the program exits with and the title of the code's page, `docs/errors/<code>.md`. */
interface CodeEntry {
  /** 1 failed, 2 usage, 3 bad data, 4 device unusable or out of memory, 5 a threshold missed, 130 interrupted. */
  exit: 1 | 2 | 3 | 4 | 5 | 130;
  title: string;
}

/** Every code. Those that native code returns are also in `crates/diagnostics/src/codes.rs`. */
export const codes = {
  E0101: { exit: 2, title: 'Unknown flag or extra argument' },
  E0102: { exit: 2, title: 'Unknown verb' },
  E0103: { exit: 2, title: 'Bad value of an option' },
  E0104: { exit: 2, title: 'Missing argument' },
  E0105: { exit: 2, title: 'Invalid config file' },
  E0106: { exit: 2, title: 'Unknown preset' },
  E0107: { exit: 2, title: 'Unknown device' },

  E0201: { exit: 3, title: 'Source missing or unreadable' },
  E0202: { exit: 3, title: 'Source without images' },
  E0203: { exit: 3, title: 'Shard cut short' },
  E0204: { exit: 3, title: 'Shard damaged' },
  E0205: { exit: 3, title: 'Manifest invalid' },
  E0206: { exit: 3, title: 'Data set of another version' },
  E0207: { exit: 3, title: 'Too many images rejected' },
  E0208: { exit: 3, title: 'Only one class' },
  E0209: { exit: 3, title: 'Layout not recognised' },
  E0210: { exit: 2, title: 'Output folder holds something else' },
  E0211: { exit: 1, title: 'Writing failed' },
  E0212: { exit: 3, title: 'Image cannot be decoded' },
  E0213: { exit: 3, title: 'Malformed tar archive' },
  E0214: { exit: 3, title: 'Images of the wrong size' },
  E0215: { exit: 2, title: 'Another prep writes there' },
  E0216: { exit: 3, title: 'Recipe differs' },
  E0217: { exit: 3, title: 'Parts missing' },
  E0218: { exit: 3, title: 'Annotation file malformed' },
  E0219: { exit: 3, title: 'Archive is not the published one' },
  E0220: { exit: 3, title: 'Photos changed' },
  E0221: { exit: 3, title: 'Box file malformed' },

  E0301: { exit: 3, title: 'Model missing or unreadable' },
  E0302: { exit: 3, title: 'Model damaged' },
  E0303: { exit: 3, title: 'Not a model of this program' },
  E0304: { exit: 2, title: 'Run belongs to other settings' },
  E0305: { exit: 3, title: 'Nothing to resume' },
  E0306: { exit: 2, title: 'Run exists already' },
  E0307: { exit: 3, title: 'Classes of model and data set differ' },
  E0308: { exit: 2, title: 'File exists already' },

  E0401: { exit: 4, title: 'Device unusable' },
  E0402: { exit: 4, title: 'Out of memory' },
  E0403: { exit: 1, title: 'Training diverged' },
  E0404: { exit: 2, title: 'Invalid network' },
  E0405: { exit: 4, title: 'GPU driver missing' },
  E0406: { exit: 4, title: 'GPU driver too old' },
  E0407: { exit: 4, title: 'GPU too old' },
  E0408: { exit: 4, title: 'GPU lost' },
  E0409: { exit: 4, title: 'GPU launch failed' },
  E0410: { exit: 4, title: 'No kernels for this GPU' },
  E0411: { exit: 2, title: 'No such layer to look at' },
  E0412: { exit: 1, title: 'Pictures need sharp' },
  E0413: { exit: 4, title: 'Native engine missing' },
  E0414: { exit: 4, title: 'Native engine does not load' },

  E0501: { exit: 5, title: 'Threshold missed' },
  E0502: { exit: 3, title: 'Split missing or empty' },
  E0503: { exit: 2, title: 'Top-k of too few classes' },
  E0504: { exit: 2, title: 'Weights of models unusable' },
  E0505: { exit: 3, title: 'Model gives no probabilities' },
  E0506: { exit: 3, title: 'Evaluations are not of the same images' },
  E0507: { exit: 3, title: 'Saved probabilities damaged' },
  E0508: { exit: 3, title: 'Saved benchmarks unusable' },
  E0509: { exit: 3, title: 'Data set changed meanwhile' },
  E0510: { exit: 3, title: 'Model without a box head' },
  E0511: { exit: 3, title: 'Head of another model' },
  E0512: { exit: 3, title: 'Box head damaged' },
  E0513: { exit: 3, title: 'Data without boxes' },
  E0514: { exit: 3, title: 'Boxes of other images' },

  E0601: { exit: 1, title: 'Clipboard unavailable' },
  E0602: { exit: 1, title: 'Output failed' },
  E0610: { exit: 3, title: 'Nothing to report' },
  E0611: { exit: 3, title: 'Metrics damaged' },
  E0612: { exit: 1, title: 'Page cannot be served' },
  E0613: { exit: 2, title: 'Evaluation of something else' },

  E0701: { exit: 3, title: 'Feature store missing or unreadable' },
  E0702: { exit: 3, title: 'Feature store damaged' },
  E0703: { exit: 3, title: 'Feature store of another version' },
  E0704: { exit: 3, title: 'Feature store is stale' },
  E0705: { exit: 3, title: 'Features unusable' },
  E0706: { exit: 1, title: 'Search server failed' },
  E0707: { exit: 1, title: 'Search engine not installed' },
  E0708: { exit: 1, title: 'No image in the clipboard' },
  E0709: { exit: 2, title: 'Feature store is being written' },

  E0801: { exit: 3, title: 'File to import missing or of an unknown format' },
  E0802: { exit: 3, title: 'File to import damaged' },
  E0803: { exit: 3, title: 'Net that cannot be imported' },
  E0804: { exit: 3, title: 'Class names do not fit the imported net' },
  E0805: { exit: 3, title: 'Net that cannot be exported in this format' },

  E0901: { exit: 1, title: 'Internal error' },
  E0902: { exit: 130, title: 'Interrupted' },
} as const satisfies Record<string, CodeEntry>;

/** A code of the table. */
export type Code = keyof typeof codes;
