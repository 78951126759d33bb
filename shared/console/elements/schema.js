/** From the JSON Schema of a config to the fields of a form. Knows JSON Schema 2020-12 as pydantic writes it, and our `x-` words. */

import { rows } from './api.js'

/** What fields of a config may name, by `x-lists`: `{codecs: {id: name}}`; without a list the id is typed. */
export async function readLists(client, organization) {
  const codecs = await rows(client.from('codecs').select('id,name').eq('organization_id', organization).order('name').limit(1000)).catch(() => null)
  return codecs ? { codecs: Object.fromEntries(codecs.map(({ id, name }) => [id, name])) } : {}
}

/** `[{title, open, when, fields}]`; fields that no group names come last, so a new field is never lost. */
export function readForm(schema, lists = {}) {
  const fields = new Map(readFields(schema, schema).map((field) => [field.name, offer(field, lists)]))
  const take = (name) => {
    const field = fields.get(name)
    fields.delete(name)
    return field
  }
  const groups = (schema['x-groups'] ?? []).map((group) => ({ ...group, fields: group.fields.map(take).filter(Boolean) }))
  const rest = [...fields.values()]
  return rest.length ? [...groups, { title: groups.length ? 'More' : '', open: !groups.length, fields: rest }] : groups
}

/** A field that names one of something that there is a list of, `{id: name}`: its choices are those. */
function offer(field, lists) {
  const known = lists[field.core['x-lists']]
  return known ? { ...field, kind: 'choice', choices: Object.keys(known), labels: known } : field
}

/** The fields of an object's schema; `root` has the definitions that it refers to. */
export function readFields(schema, root) {
  return Object.entries(schema.properties ?? {}).map(([name, raw]) => readField(name, raw, (schema.required ?? []).includes(name), root))
}

/** Whether `value` satisfies `condition`, itself a small JSON Schema: properties, const, enum, pattern, anyOf, allOf, not, required. */
export function holds(condition, value) {
  if (!condition) return true
  const checks = {
    anyOf: (each) => each.some((one) => holds(one, value)),
    allOf: (each) => each.every((one) => holds(one, value)),
    not: (inner) => !holds(inner, value),
    const: (wanted) => (value ?? null) === wanted,
    enum: (wanted) => wanted.includes(value ?? null),
    pattern: (wanted) => value != null && new RegExp(wanted, 'u').test(value),
    required: (names) => names.every((name) => value?.[name] != null),
    type: (wanted) => [wanted].flat().includes(value == null ? 'null' : Array.isArray(value) ? 'array' : typeof value),
    properties: (inner) => Object.entries(inner).every(([name, each]) => holds(each, value?.[name])),
  }
  return Object.entries(condition).every(([word, given]) => !checks[word] || checks[word](given))
}

function readField(name, raw, required, root) {
  const { core, isNullable } = unwrap(raw, root)
  const described = raw.description ?? core.description ?? ''
  return {
    name, core, root, required, kind: chooseKind(core, raw, isNullable, root), title: raw.title ?? core.title ?? name,
    help: described.split('\n\n')[0].replaceAll('`', ''), fallback: raw.default ?? undefined, example: raw.examples?.[0] ?? core.examples?.[0],
    when: raw['x-when'], unit: raw['x-unit'], choices: core.enum, labels: raw['x-labels'] ?? core['x-labels'] ?? {},
    minimum: core.minimum ?? core.exclusiveMinimum, maximum: core.maximum, lines: readMediaType(raw, core), rows: raw['x-rows'] ?? core['x-rows'] ?? 4, items: core.items && readItems(core.items, root),
    rotates: `previous_${name}` in (root.properties ?? {}),
  }
}

const readMediaType = (raw, core) => raw.contentMediaType ?? core.contentMediaType

function unwrap(raw, root) {
  const options = (raw.anyOf ?? raw.allOf ?? raw.oneOf ?? [raw]).map((each) => (each.$ref ? resolve(each.$ref, root) : each))
  const real = options.filter((each) => each.type !== 'null')
  return { core: real.find((each) => each.type === 'array') ?? real[0] ?? {}, isNullable: real.length < options.length }
}

const readItems = (items, root) => (items.$ref ? resolve(items.$ref, root) : items)
const resolve = (reference, root) => root.$defs?.[reference.split('/').at(-1)] ?? {}

const BY_TYPE = { integer: () => 'number', number: () => 'number', string: (core, raw) => (readMediaType(raw, core) ? 'lines' : 'text'), array: chooseList, object: chooseObject }

function chooseKind(core, raw, isNullable, root) {
  if (raw.readOnly || core.readOnly) return 'shown'
  if (core.enum) return 'choice'
  if (core.writeOnly || raw.writeOnly) return 'secret'
  if (core.type === 'boolean') return isNullable ? 'truth' : 'switch'
  return BY_TYPE[core.type]?.(core, raw, root) ?? 'json'
}

function chooseList({ items = {} }, _, root) {
  if (items.enum) return 'several'
  if (readItems(items, root).properties) return 'objects'
  return { string: 'list', integer: 'numbers', number: 'numbers' }[items.type] ?? 'json'
}

function chooseObject(core) {
  if (core.properties) return 'object'
  const { anyOf = [core.additionalProperties], } = core.additionalProperties ?? {}
  return core.additionalProperties && anyOf.every((each) => each?.type === 'string') ? 'pairs' : 'json'
}
