// view.cuh - one input of the net: which image of a batch, and how it is seen (`View` of crates/network).
#pragma once

struct View {  // repr(C) on the host, 28 bytes
  unsigned image;                 // number in the batch's pixels
  unsigned short crop_y, crop_x;  // corner of the crop in the image
  unsigned short mean_y, mean_x;  // corner of the crop in the mean image
  unsigned mirror;                // not 0: columns are read from right to left
  float colour[3];                // added to the channels
};
