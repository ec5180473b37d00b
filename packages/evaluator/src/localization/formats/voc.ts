/** PASCAL VOC: an XML file an image. It has no place for how likely a guess is: objects stand in that order. */
import { type ImageBoxes, rounded } from './boxes.ts';

/** The file of an image. */
export function toVoc({ name, ending, size, guesses }: ImageBoxes): string {
  const objects = guesses.map(({ class: wnid, box }) => {
    const [xmin, ymin, xmax, ymax] = box.map(rounded);
    const corners = Object.entries({ xmin, ymin, xmax, ymax }).map(
      ([tag, value]) => `<${tag}>${value}</${tag}>`,
    );
    return `  <object><name>${escaped(wnid)}</name><difficult>0</difficult><bndbox>${corners.join('')}</bndbox></object>\n`;
  });
  return `<annotation>
  <filename>${escaped(`${name.split('/').at(-1)}${ending}`)}</filename>
  <size><width>${size.width}</width><height>${size.height}</height><depth>3</depth></size>
${objects.join('')}</annotation>
`;
}

function escaped(text: string): string {
  // Characters that XML cannot hold at all have no escape either.
  const clean = text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '?');
  return clean.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
