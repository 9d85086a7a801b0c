/**
 * What both runtimes give a cell to load modules with: `require`, `module`, `exports`, `__dirname`, `__filename` and
 * `import.meta`, all rooted in the directory that the driver was started in.
 */
import module, { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { provide } from './globals.mjs';

/** The directory of the guest's files. */
export const WORKSPACE = process.cwd();

/** The file that a cell would be; it does not exist. */
const CELL_FILE = path.join(WORKSPACE, 'cell.js');

export const requireFromWorkspace = createRequire(CELL_FILE);

/**
 * `import()` as it would be in a file of the workspace.
 * @type {(specifier: string, options?: object) => Promise<object>}
 */
export const importFromWorkspace = vm.runInThisContext('(specifier, options) => import(specifier, options)', {
  filename: path.join(WORKSPACE, 'cell.mjs'),
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});

/** The environment of the start. */
let environment = null;

/** Called once, when the environment is the guest's. */
export function openWorkspace() {
  environment = { ...process.env };
  provideModuleNames();
}

function provideModuleNames() {
  const main = new module.Module('.');
  main.filename = CELL_FILE;
  main.paths = module.Module._nodeModulePaths?.(WORKSPACE) ?? [];
  main.require = requireFromWorkspace;
  // `if (require.main === module)` means "if I am the program", and a cell is.
  requireFromWorkspace.main = main;
  provide('require', requireFromWorkspace);
  provide('module', main);
  provide('exports', main.exports);
  provide('__dirname', WORKSPACE);
  provide('__filename', CELL_FILE);
  const url = pathToFileURL(CELL_FILE).href;
  const resolve = (specifier) =>
    module.isBuiltin(specifier) ? `node:${specifier.replace(/^node:/, '')}` : fileUrl(specifier, url);
  provide('__cell_meta', { url, dirname: WORKSPACE, filename: CELL_FILE, main: true, resolve });
}

function fileUrl(specifier, base) {
  if (/^(\.{0,2}\/|[a-z][a-z+.-]+:)/i.test(specifier)) return new URL(specifier, base).href;
  return pathToFileURL(requireFromWorkspace.resolve(specifier)).href;
}

/**
 * For `clear`: the environment and the directory are those of the start again, and the CommonJS modules of the
 * workspace are forgotten, so that they are read again. ES modules cannot be unloaded.
 */
export function resetWorkspace() {
  process.chdir(WORKSPACE);
  for (const name of Object.keys(process.env)) if (!Object.hasOwn(environment, name)) delete process.env[name];
  Object.assign(process.env, environment);
  const inside = WORKSPACE + path.sep;
  for (const file of Object.keys(requireFromWorkspace.cache ?? {})) {
    if (file.startsWith(inside)) delete requireFromWorkspace.cache[file];
  }
  provideModuleNames();
}
