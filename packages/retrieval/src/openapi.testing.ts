/** Requests against an OpenAPI description, for tests: as much of JSON Schema as such descriptions use. */

/** A schema; `$ref` names another one. */
interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  nullable?: boolean;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  minimum?: number;
  maximum?: number;
}

/** What is read of an OpenAPI file. */
export interface Description {
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: Schema }> } }>>;
  components: { schemas: Record<string, Schema> };
}

/** What is wrong with a request, each with its place; nothing where it is right. */
export function violations(
  description: Description,
  { method, path, body }: { method: string; path: string; body: unknown },
): string[] {
  const [plain = ''] = path.split('?');
  const template = Object.keys(description.paths).find((known) =>
    new RegExp(`^${known.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(plain),
  );
  const operation = template && description.paths[template]?.[method.toLowerCase()];
  if (!operation) return [`no ${method} ${plain}`];
  const schema = operation.requestBody?.content['application/json']?.schema;
  if (schema === undefined) return body === undefined ? [] : ['a body that nobody reads'];
  return check(description, schema, body, 'body');
}

function check(description: Description, schema: Schema, value: unknown, at: string): string[] {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/components/schemas/', '');
    const referred = description.components.schemas[name];
    return referred === undefined ? [`${at}: no schema ${name}`] : check(description, referred, value, at);
  }
  if (value === null && schema.nullable) return [];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    const results = choices.map((choice) => check(description, choice, value, at));
    return results.some((wrong) => wrong.length === 0) ? [] : [`${at}: none of ${results.flat().join('; ')}`];
  }
  const wrong = (schema.allOf ?? []).flatMap((part) => check(description, part, value, at));
  if (schema.enum !== undefined && !schema.enum.includes(value)) wrong.push(`${at}: ${value} is not allowed`);
  if (!isOfType(schema.type, value)) return [...wrong, `${at}: not ${schema.type}`];
  if (typeof value === 'number') {
    if (value < (schema.minimum ?? value) || value > (schema.maximum ?? value)) wrong.push(`${at}: ${value}`);
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items !== undefined)
      wrong.push(...value.flatMap((it, i) => check(description, items, it, `${at}[${i}]`)));
  } else if (typeof value === 'object' && value !== null) {
    const known = schema.properties ?? {};
    for (const name of schema.required ?? []) if (!(name in value)) wrong.push(`${at}: no ${name}`);
    for (const [name, member] of Object.entries(value)) {
      const of = known[name] ?? schema.additionalProperties;
      if (typeof of === 'object') wrong.push(...check(description, of, member, `${at}.${name}`));
      else if (schema.properties !== undefined && of !== true) wrong.push(`${at}: unknown ${name}`);
    }
  }
  return wrong;
}

function isOfType(type: string | undefined, value: unknown): boolean {
  switch (type) {
    case undefined:
      return true;
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}
