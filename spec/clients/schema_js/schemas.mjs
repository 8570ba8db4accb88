// The vendors' types as JSON schema, made of their SDKs' declarations when the specs run, and what the gateway adds to them.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import Ajv from "ajv";
import { createGenerator } from "ts-json-schema-generator";

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));

// Fields that are in no type, by the kind of answer: all there may be. `*` stands for any one step of the path.
const THOUGHTS = ["reasoning_content", "reasoning_details", "extra_content", "tool_calls.*.extra_content"];
const OURS = {
  // What models thought and sealed, where Chat Completions has no place for it, as its vendors call it.
  chat: ["route", ...THOUGHTS.map((name) => `choices.*.message.${name}`)],
  chunk: THOUGHTS.map((name) => `choices.*.delta.${name}`),
  response: ["route"],
  event: ["response.route"],
  message: ["route"],
  // Told at the beginning, and once more.
  message_event: ["usage.cache_creation", "usage.service_tier"],
  error: ["error.route"],
  message_error: ["route"],
  models: ["data.*.context_length", "data.*.max_output_tokens", "data.*.capabilities", "data.*.pricing"],
};

// Where the types are not what is sent, by the name of the type and what is to be changed in it.
const without = (name) => (type) => (type.required = type.required.filter((one) => one !== name));
const nullable = (field) => Object.assign(field, { type: ["string", "null"], enum: [...field.enum, null] });
const DIFFERENCES = [
  // Of the SDK's own making.
  ["Response", without("output_text")],
  // Sent by OpenAI itself.
  ["Response", (type) => Object.assign(type.properties, { store: { type: "boolean" }, max_tool_calls: { type: "number" } })],
  // What broke after it had begun: no code of OpenAI's says so.
  ["ResponseError", (type) => type.properties.code.enum.push("upstream_stream_interrupted")],
  // A chunk's has not ended yet.
  ["CompletionChoice", (type) => nullable(type.properties.finish_reason)],
  // Who calls is the model, as long as there are no programs of the server's.
  ["ToolUseBlock", without("caller")],
];

const found = new Set();

// Takes out what is at a path, and tells of it.
function take(value, [step, ...rest], told) {
  if (value === null || typeof value !== "object") {
    return;
  }
  for (const key of step === "*" ? Object.keys(value) : [step]) {
    if (rest.length) {
      take(value[key], rest, told);
    } else if (key in value) {
      told();
      delete value[key];
    }
  }
}

// A union whose members say by their `type` which they are is looked up by it: so what is wrong is said of the one that was meant.
function byType(node, definitions) {
  if (Array.isArray(node)) {
    node.forEach((one) => byType(one, definitions));
    return;
  }
  if (node === null || typeof node !== "object") {
    return;
  }
  Object.values(node).forEach((one) => byType(one, definitions));
  const tagged = node.anyOf?.every(({ $ref }) => tagOf($ref, definitions));
  const tags = tagged ? node.anyOf.map(({ $ref }) => tagOf($ref, definitions)) : [];
  if (tagged && new Set(tags).size === tags.length) {
    const members = node.anyOf;
    delete node.anyOf;
    Object.assign(node, { type: "object", discriminator: { propertyName: "type" }, required: ["type"], oneOf: members });
  }
}

const named = ($ref, definitions) => definitions[decodeURIComponent($ref.slice("#/definitions/".length))];

function mayBeNull(node, definitions) {
  return [node.type].flat().includes("null") || !!node.anyOf?.some((one) => mayBeNull(one, definitions)) ||
    !!(node.$ref && mayBeNull(named(node.$ref, definitions), definitions));
}

// The services say null where the types leave a field out, and leave it out where the types say null: both is as good as the other.
function nullIsNothing(node, definitions) {
  if (node === null || typeof node !== "object") {
    return;
  }
  Object.values(node).forEach((one) => nullIsNothing(one, definitions));
  if (node.type === "object" && node.properties) {
    const required = (node.required ?? []).filter((name) => !mayBeNull(node.properties[name], definitions));
    for (const [name, field] of Object.entries(node.properties)) {
      if (!required.includes(name)) {
        node.properties[name] = { anyOf: [field, { type: "null" }] };
      }
    }
    node.required = required;
  }
}

function tagOf($ref, definitions) {
  const target = $ref && named($ref, definitions);
  return target?.required?.includes("type") ? target.properties?.type?.const : undefined;
}

function compile() {
  const generator = createGenerator({
    path: beside("types.d.ts"), tsconfig: beside("tsconfig.json"), skipTypeCheck: true, additionalProperties: false,
  });
  const validators = {};
  for (const vendor of ["OpenAI", "Anthropic"]) {
    const schema = generator.createSchema(vendor);
    DIFFERENCES.forEach(([name, change]) => schema.definitions[name] && change(schema.definitions[name]));
    byType(schema.definitions, schema.definitions);
    nullIsNothing(schema.definitions, schema.definitions);
    const ajv = new Ajv({ allErrors: true, discriminator: true, strictTypes: false, allowUnionTypes: true });
    ajv.addSchema(schema, vendor);
    for (const kind of Object.keys(schema.definitions[vendor].properties)) {
      validators[kind] = ajv.getSchema(`${vendor}#/definitions/${vendor}/properties/${kind}`);
    }
  }
  return validators;
}

const validators = compile();

export function conforms(kind, value) {
  const theirs = structuredClone(value);
  for (const path of OURS[kind] ?? []) {
    take(theirs, path.split("."), () => found.add(`${kind} ${path}`));
  }
  const valid = validators[kind];
  if (!valid(theirs)) {
    const wrong = valid.errors.map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
    assert.fail(`no ${kind}: ${wrong.slice(0, 8).join("\n")}\n${JSON.stringify(value).slice(0, 2000)}`);
  }
}

// Those of the list above that nothing had.
export function unseen() {
  const all = Object.entries(OURS).flatMap(([kind, paths]) => paths.map((path) => `${kind} ${path}`));
  return all.filter((one) => !found.has(one));
}
