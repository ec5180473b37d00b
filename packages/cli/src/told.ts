import { IlsvrcError } from '@ilsvrc/diagnostics';

/** What happened to all ranks alike: rank 0 tells it, the others end with the same status. */
export class ToldByRank0 extends IlsvrcError {}
