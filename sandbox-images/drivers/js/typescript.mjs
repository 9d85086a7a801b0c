/**
 * TypeScript to JavaScript by the runtime's own type stripper, which keeps every line and column.
 *
 * Enums, namespaces and parameter properties make code, so a cell that has them goes through the transform instead:
 * the same program, with new lines. Types are not checked, as everywhere that TypeScript is run directly.
 */
import module from 'node:module';
import { CellSyntaxError } from './rewrite.mjs';

/** @param {string} source @returns {string} JavaScript @throws {CellSyntaxError} */
export function stripTypes(source) {
  try {
    return module.stripTypeScriptTypes(source, { mode: 'strip' });
  } catch (error) {
    if (error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw located(error);
  }
  const keep = importedNames(source);
  try {
    const marked = keep.length ? `${source}\n;__cell_keep(${keep});` : source;
    const script = module.stripTypeScriptTypes(marked, { mode: 'transform' });
    return script.replace(/__cell_keep\([^()]*\);?/, '');
  } catch (error) {
    throw located(error);
  }
}

/**
 * Names that the cell imports as values. The transform drops an import that its own text does not use, but a later cell
 * may: mentioning the names in a call keeps them.
 */
function importedNames(source) {
  const names = [];
  for (const [, clause] of source.matchAll(/^[ \t]*import\s+(?!type\s)([^'"();=]+?)\s*from\s*['"]/gm)) {
    for (const part of clause.replace(/\/\*[^]*?\*\/|\/\/.*/g, '').split(/[{},]/)) {
      const local = /^(?:[\w$*]+\s+as\s+)?([\w$]+)$/.exec(part.trim());
      if (local) names.push(local[1]);
    }
  }
  return names;
}

/** Node puts the place into the stack (":3\n\n  source\n  ^"), Deno into the message ("at file:///x.ts:3:5"). */
function located(error) {
  const message = /^(?:SyntaxError: |\[\w+\] )?(.*)/.exec(error.message)[1].replace(/ at file:\/\/\/\S+$/, '');
  const deno = /\.ts:(\d+):(\d+)/.exec(error.message);
  if (deno) return new CellSyntaxError(message, Number(deno[1]), Number(deno[2]) - 1);
  const node = /^[^\n]*:(\d+)\n(?:[^\n]*\n)*?([ \t]*)\^/.exec(error.stack ?? '');
  return new CellSyntaxError(message, node ? Number(node[1]) : 1, node ? node[2].length : 0);
}
