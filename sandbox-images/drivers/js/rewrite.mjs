/**
 * Turns the source of a cell into two pieces of code that behave as a notebook cell should.
 *
 *   source ──acorn──▶ edits ──▶ functions: only the top-level function declarations   (eval, first: they are hoisted)
 *                          └──▶ body:      everything else                            (eval, as body of an async function)
 *
 * Blanked parts become spaces, so both keep every line where the author wrote it.
 *
 * | source                           | becomes                     | reason |
 * |----------------------------------|-----------------------------|--------|
 * | top-level `const`, `let`, `var`  | assignments to globals      | later cells see them and may declare them again |
 * | `class A {}` at top level        | `A = class A {}`            | the same |
 * | `import x from "y"`              | `({default: x} = await …)`  | only modules have import statements |
 * | `import(x)`, `import.meta`       | a call and an object of ours | evaluated code has no file to resolve from |
 * | `export …`                       | the declaration alone       | a cell has no importer |
 * | `await x`                        | `check(await x)`            | what an interrupted cell left pending must not run on |
 * | the body of a loop               | starts with a check         | an endless loop can be interrupted with the state kept |
 * | the last bare expression         | `value(expression)`         | its value is the answer of the cell |
 *
 * Every hook is looked up on `globalThis` with a fallback: code that is sent elsewhere as text (a worker made from
 * `String(fn)`, a page in a browser) must still run there.
 */
import { parse } from './node_modules/acorn/dist/acorn.mjs';

const CHECK = '(globalThis.__cell_check??(v=>v))(';
/** A load and a branch: half a nanosecond, where a call would make a tight loop twenty times slower. */
const LOOP = 'if(globalThis.__cell_flag?.[0])__cell_loop();';
const IMPORT = '(globalThis.__cell_import??((s,o)=>import(s,o)))';
const META = '(globalThis.__cell_meta)';
const VALUE = '__cell_value((';

/** A syntax error in a cell, with the position that the author can look up. */
export class CellSyntaxError extends SyntaxError {
  /** @param {string} message @param {number} line from 1 @param {number} column from 0 */
  constructor(message, line, column) {
    super(message);
    this.name = 'SyntaxError';
    this.line = line;
    this.column = column;
  }
}

/**
 * @param {string} source JavaScript
 * @param {{looseImports: boolean}} options `looseImports`: a missing named import is undefined instead of an error,
 *   because in TypeScript it may be the name of a type
 * @returns {{functions: string|null, body: string, names: string[]}} `names`: the variables that the cell declares
 */
export function rewrite(source, options) {
  const program = parseCell(source);
  const edits = new Edits(source);
  const names = new Set();
  const state = { edits, names, options, source };
  const statements = program.body;
  for (const statement of statements) topLevel(statement, state);
  walk(program, null, false, state);
  markValue(statements, edits);

  const isFunction = (s) => unwrapExport(s)?.type === 'FunctionDeclaration' && unwrapExport(s).id;
  const functions = statements.some(isFunction) ? edits.render(statements, isFunction) : null;
  return { functions, body: edits.render(statements, (s) => !isFunction(s)), names: [...names] };
}

function parseCell(source) {
  try {
    return parse(source, {
      ecmaVersion: 'latest',
      sourceType: 'script',
      allowImportExportEverywhere: true,
      allowAwaitOutsideFunction: true,
      allowReturnOutsideFunction: true,
      allowHashBang: true,
      checkPrivateFields: true,
    });
  } catch (error) {
    if (!(error instanceof SyntaxError) || !error.loc) throw error;
    throw new CellSyntaxError(messageOf(error, source), error.loc.line, error.loc.column);
  }
}

const AsyncFunction = (async () => {}).constructor;

/** The engine's words are the ones that people know; the parser's are plain ("Unexpected token"), but know the place. */
function messageOf(error, source) {
  if (source[error.pos] === '@') return 'decorators are not supported here';
  // The engine would complain about the first import, which is not wrong in a cell.
  if (!/\b(import|export)\b/.test(source)) {
    try {
      new AsyncFunction(source);
    } catch (compiled) {
      return compiled.message;
    }
  }
  return error.message.replace(/ \(\d+:\d+\)$/, '');
}

function unwrapExport(statement) {
  return /^Export(Named|Default)Declaration$/.test(statement.type) ? statement.declaration : statement;
}

/** The rewrites that concern statements of the cell itself. */
function topLevel(statement, state) {
  const { edits, names } = state;
  switch (statement.type) {
    case 'ImportDeclaration':
      edits.replace(statement.start, statement.end, importCode(statement, state));
      return;
    case 'ExportAllDeclaration':
      edits.replace(statement.start, statement.end, `await ${IMPORT}(${statement.source.raw});`);
      return;
    case 'ExportNamedDeclaration':
      if (!statement.declaration) edits.replace(statement.start, statement.end, '');
      else exported(statement, state);
      return;
    case 'ExportDefaultDeclaration':
      exported(statement, state);
      return;
    case 'VariableDeclaration':
      if (statement.kind !== 'let' && statement.kind !== 'const') return;
      assignments(statement, state);
      for (const { id, init } of statement.declarations) if (!init) edits.after(id.end, '=void 0');
      return;
    case 'ClassDeclaration':
      names.add(statement.id.name);
      edits.before(statement.start, `${statement.id.name}=`);
      edits.after(statement.end, ';');
  }
}

function exported(statement, state) {
  const { declaration } = statement;
  state.edits.replace(statement.start, declaration.start, ';');
  if (declaration.id || declaration.type === 'VariableDeclaration') {
    topLevel(declaration, state);
  } else {
    state.edits.before(declaration.start, '(');
    state.edits.after(declaration.end, ')');
  }
}

/** `const {a} = b, c = 1` → `void({a} = b, c = 1)`; `void` cannot continue the line above, as a parenthesis could. */
function assignments({ start, kind, declarations }, { edits, names }) {
  for (const { id } of declarations) patternNames(id, names);
  edits.replace(start, start + kind.length, 'void(');
  edits.after(declarations.at(-1).end, ')');
}

/** `import d, {a as b} from "y"` → `void({"default":d,"a":b}=await import("y", attributes, names that must exist));` */
function importCode(statement, { names, options, source }) {
  const from = statement.source.raw;
  const attributes = statement.attributes?.length
    ? `{with:{${statement.attributes.map((a) => source.slice(a.start, a.end)).join(',')}}}`
    : 'void 0';
  if (statement.specifiers.length === 0) return `await ${IMPORT}(${from},${attributes});`;
  const parts = [];
  const wanted = [];
  let namespace = null;
  for (const specifier of statement.specifiers) {
    const local = specifier.local.name;
    names.add(local);
    if (specifier.type === 'ImportNamespaceSpecifier') namespace = local;
    else {
      const imported =
        specifier.type === 'ImportDefaultSpecifier' ? 'default' : (specifier.imported.name ?? specifier.imported.value);
      parts.push(`${JSON.stringify(imported)}:${local}`);
      wanted.push(imported);
    }
  }
  const must = options.looseImports ? '' : `,${JSON.stringify(wanted)}`;
  const call = `await ${IMPORT}(${from},${attributes}${must})`;
  if (!namespace) return `void({${parts.join(',')}}=${call});`;
  return parts.length ? `void(${namespace}=${call},{${parts.join(',')}}=${namespace});` : `void(${namespace}=${call});`;
}

/** Names bound by a declaration's pattern. */
function patternNames(pattern, names) {
  switch (pattern?.type) {
    case 'Identifier':
      names.add(pattern.name);
      break;
    case 'ObjectPattern':
      for (const p of pattern.properties) patternNames(p.type === 'RestElement' ? p.argument : p.value, names);
      break;
    case 'ArrayPattern':
      for (const element of pattern.elements) patternNames(element, names);
      break;
    case 'AssignmentPattern':
      patternNames(pattern.left, names);
      break;
    case 'RestElement':
      patternNames(pattern.argument, names);
  }
}

/** The rewrites that concern code at any depth; also collects `var` declarations outside functions. */
function walk(node, parent, inFunction, state) {
  const { edits, names } = state;
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
      return;
    case 'ImportExpression':
      edits.replace(node.start, node.start + 'import'.length, IMPORT);
      break;
    case 'MetaProperty':
      if (node.meta.name === 'import') edits.replace(node.start, node.end, META);
      break;
    case 'AwaitExpression':
      edits.before(node.start, CHECK);
      edits.after(node.end, ')');
      break;
    case 'VariableDeclaration':
      if (inFunction || node.kind !== 'var') break;
      if (!/^For/.test(parent.type) || node === parent.body) assignments(node, state);
      else {
        for (const { id } of node.declarations) patternNames(id, names);
        edits.replace(node.start, node.start + 'var'.length, '');
      }
      break;
    case 'WhileStatement':
    case 'DoWhileStatement':
    case 'ForStatement':
    case 'ForInStatement':
    case 'ForOfStatement':
      guardLoop(node.body, edits);
      break;
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
    case 'StaticBlock':
      inFunction = true;
  }
  for (const key in node) {
    if (key === 'type' || key === 'start' || key === 'end') continue;
    const child = node[key];
    if (Array.isArray(child)) {
      for (const item of child) if (item?.type) walk(item, node, inFunction, state);
    } else if (child?.type) walk(child, node, inFunction, state);
  }
  // A statement that now starts with a parenthesis would become a call of the line above it.
  if (node.type === 'ExpressionStatement' && edits.opensWithParenthesis(node.start)) {
    edits.before(node.start, '0,', 'outermost');
  }
}

function guardLoop(body, edits) {
  if (body.type === 'BlockStatement') {
    edits.after(body.start + 1, LOOP);
  } else {
    edits.before(body.start, `{${LOOP}`);
    edits.after(body.end, '}');
  }
}

/** Wraps the last bare expression. A trailing `var x;` is made by the TypeScript transform, not by the author. */
function markValue(statements, edits) {
  let last = statements.length - 1;
  while (last >= 0 && isNothing(statements[last])) last -= 1;
  const statement = statements[last];
  if (statement?.type === 'ExpressionStatement') {
    edits.before(statement.expression.start, VALUE, 'outermost');
    edits.after(statement.expression.end, '))', 'outermost');
  } else if (statement?.type === 'ExportDefaultDeclaration' && !statement.declaration.id) {
    edits.before(statement.declaration.start, VALUE, 'outermost');
    edits.after(statement.declaration.end, '))', 'outermost');
  }
}

const isNothing = (statement) =>
  statement.type === 'EmptyStatement' ||
  (statement.type === 'VariableDeclaration' && statement.kind === 'var' && statement.declarations.every((d) => !d.init));

/** Insertions and replacements by position in the original source, applied together at the end. */
class Edits {
  #source;
  /** @type {Map<number, string>} text to put before a position where something starts */
  #opening = new Map();
  /** @type {Map<number, string>} text to put at a position where something ends; comes before what starts there */
  #closing = new Map();
  /** @type {Map<number, {end: number, text: string}>} */
  #replaced = new Map();

  constructor(source) {
    this.#source = source;
  }

  /** Outer nodes are visited first, so a later opening text stands nearer to the code. */
  before(position, text, rank = 'inner') {
    const old = this.#opening.get(position) ?? '';
    this.#opening.set(position, rank === 'outermost' ? text + old : old + text);
  }

  after(position, text, rank = 'inner') {
    const old = this.#closing.get(position) ?? '';
    this.#closing.set(position, rank === 'outermost' ? old + text : text + old);
  }

  /** Replaces a range; the lines it spanned are kept. */
  replace(start, end, text) {
    const lost = lines(this.#source.slice(start, end)) - lines(text);
    this.#replaced.set(start, { end, text: text + '\n'.repeat(Math.max(0, lost)) });
  }

  opensWithParenthesis(position) {
    return (this.#opening.get(position) ?? this.#replaced.get(position)?.text ?? '').startsWith('(');
  }

  /** The edited source with every statement that `keep` refuses blanked out. */
  render(statements, keep) {
    const positions = [...new Set([...this.#opening.keys(), ...this.#closing.keys(), ...this.#replaced.keys()])];
    positions.sort((a, b) => a - b);
    let next = 0;
    let out = '';
    let at = 0;
    for (const statement of statements) {
      const { start, end } = statement;
      out += blank(this.#source.slice(at, start));
      at = start;
      const kept = keep(statement);
      while (next < positions.length && positions[next] < start) next += 1;
      for (; kept && positions[next] <= end; next += 1) {
        const position = positions[next];
        if (position < at) continue;
        out += this.#source.slice(at, position);
        at = position;
        if (position > start) out += this.#closing.get(position) ?? '';
        // What opens here belongs to the next statement, which looks at this position again.
        if (position === end) break;
        out += this.#opening.get(position) ?? '';
        const replaced = this.#replaced.get(position);
        if (replaced) {
          out += replaced.text;
          at = replaced.end;
        }
      }
      out += kept ? this.#source.slice(at, end) : blank(this.#source.slice(at, end));
      at = end;
    }
    return out;
  }
}

const blank = (text) => text.replace(/[^\n\r\u2028\u2029]/g, ' ');
const lines = (text) => text.split('\n').length - 1;
