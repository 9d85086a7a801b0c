"""What the image builder promises, without a network."""

import io
import json
import os
import tempfile
import tomllib
import unittest
import zipfile
from pathlib import Path
from unittest import mock

from builder import drivers, lockfile, pipeline, place, publish, sources, stages, substitute, tree, wasm, wheels
from builder.lockfile import Deb
from builder.run import BuildError

HERE = Path(__file__).resolve().parent.parent
SHA = "ab" * 32


class FolderTest(unittest.TestCase):
    """Each test gets an empty folder, which is also the cache."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patch = mock.patch.dict(os.environ, CLOISTER_CACHE=str(self.folder / "cache"))
        patch.start()
        self.addCleanup(patch.stop)


class Tree(FolderTest):
    def test_a_file_is_not_written_through_a_link_that_leads_out_of_the_image(self):
        outside = self.folder / "outside"
        outside.mkdir()
        root = self.folder / "root"
        root.mkdir()
        (root / "etc").symlink_to(outside)
        with self.assertRaisesRegex(BuildError, "leads out of the image"):
            tree.write(root, "etc/passwd", "x")
        self.assertEqual(list(outside.iterdir()), [])

    def test_writing_a_file_leaves_the_stage_it_was_linked_from_as_it_was(self):
        first, second = self.folder / "first", self.folder / "second"
        tree.write(first, "etc/hosts", "old")
        tree.copy(first, second)
        tree.write(second, "etc/hosts", "new")
        self.assertEqual((first / "etc/hosts").read_text(), "old")

    def test_setuid_setgid_and_private_files_become_ordinary_and_readable(self):
        for name, mode in {"su": 0o4755, "wall": 0o2755, "secret": 0o600}.items():
            tree.write(self.folder, name, "x")
            (self.folder / name).chmod(mode)
        tree.normalise(self.folder)
        modes = {name: (self.folder / name).stat().st_mode & 0o7777 for name in ("su", "wall", "secret")}
        self.assertEqual(modes, {"su": 0o755, "wall": 0o755, "secret": 0o644})

    def test_a_setuid_file_a_pipe_and_an_unreadable_file_are_refused(self):
        def setuid(path):
            path.write_text("")
            path.chmod(0o4755)

        def private(path):
            path.write_text("")
            path.chmod(0o600)

        for make, words in ((setuid, "setuid"), (os.mkfifo, "a pipe"), (private, "not readable by everybody")):
            with self.subTest(words), tempfile.TemporaryDirectory(dir=self.folder) as root:
                os.chmod(root, 0o755)
                make(Path(root, "bad"))
                with self.assertRaisesRegex(BuildError, words):
                    tree.listing(root)

    def test_the_digest_changes_with_content_mode_name_and_link(self):
        seen = set()
        for change in (lambda r: None, lambda r: (r / "a").write_text("y"), lambda r: (r / "a").chmod(0o755),
                       lambda r: (r / "a").rename(r / "b"), lambda r: (r / "l").symlink_to("a")):
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                root = Path(folder)
                root.chmod(0o755)
                tree.write(root, "a", "x")
                change(root)
                seen.add(tree.listing(root).digest())
        self.assertEqual(len(seen), 5)


class Locks(FolderTest):
    def test_a_lock_reads_back_as_it_was_written(self):
        debs = [Deb("bash", "5.2.15-2+b13", "amd64", 10, SHA), Deb("tzdata", "1:2026f~1", "all", 9, SHA)]
        lockfile.write(self.folder / "images.lock", {"a": debs, "b": debs[:1]})
        self.assertEqual(lockfile.read(self.folder / "images.lock"), {"a": debs, "b": debs[:1]})

    def test_a_name_or_version_that_could_be_an_option_or_a_path_is_refused(self):
        for name, version in (("-o", "1"), ("../x", "1"), ("bash", "-1"), ("bash", "1/2"), ("bash", "1 2")):
            with self.subTest(name=name, version=version), self.assertRaises(BuildError):
                Deb(name, version, "amd64", 1, SHA)

    def test_a_requirement_without_a_hash_is_refused(self):
        path = self.folder / "requirements.txt"
        path.write_text(f"numpy==2.4.6 --hash=sha256:{SHA}\n")
        self.assertEqual(wheels.locked(path), [("numpy", "2.4.6", SHA)])
        path.write_text("numpy==2.4.6\n")
        with self.assertRaisesRegex(BuildError, "make images-lock"):
            wheels.locked(path)

    def test_no_lock_file_of_this_repository_names_a_server(self):
        files = [HERE / "images.lock", *HERE.glob("*/requirements.txt"), *HERE.glob("*/package-lock.json"),
                 *HERE.glob("drivers/*/package-lock.json")]
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            self.assertNotIn("://", path.read_text(), path)

    def test_what_is_used_instead_of_the_lock_is_told(self):
        locked = [Deb("a", "1", "all", 1, SHA), Deb("b", "1", "all", 1, SHA)]
        used = [Deb("a", "1", "all", 1, SHA), Deb("b", "2", "all", 1, SHA), Deb("c", "1", "all", 1, SHA)]
        self.assertEqual(substitute.changes(locked, used),
                         [{"name": "b", "locked": "1", "used": "2"}, {"name": "c", "locked": None, "used": "1"}])
        self.assertEqual(substitute.changes(locked, locked), [])


class AptSources(FolderTest):
    def entries(self, **files):
        (self.folder / "sources.list.d").mkdir(exist_ok=True)
        for name, text in files.items():
            kind = "sources" if text.startswith("Types") else "list"
            (self.folder / "sources.list.d" / f"{name}.{kind}").write_text(text)
        return sources.debian_entries(self.folder)

    def test_both_ways_of_writing_debians_entries_are_understood(self):
        found = self.entries(
            one="deb [arch=amd64] mirror://one/debian bookworm main contrib\ndeb-src mirror://one/debian bookworm main\n",
            two="Types: deb\nURIs: mirror://two/security\nSuites: bookworm-security\nComponents: main\n"
                "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
        self.assertEqual(found, [("mirror://one/debian", "bookworm"), ("mirror://two/security", "bookworm-security")])

    def test_repositories_of_other_parties_are_left_out(self):
        found = self.entries(
            debian="deb mirror://debian bookworm main\n",
            foreign="deb [signed-by=/usr/share/keyrings/other.gpg] mirror://other bookworm main\ndeb mirror://other stable main\n",
            foreign2="Types: deb\nURIs: mirror://other\nSuites: bookworm\nComponents: main\nSigned-By: /etc/apt/keyrings/other.asc\n",
            off="Types: deb\nEnabled: no\nURIs: mirror://off\nSuites: bookworm\nComponents: main\n")
        self.assertEqual(found, [("mirror://debian", "bookworm")])

    def test_a_host_without_debians_entries_is_told_what_to_add(self):
        with self.assertRaisesRegex(BuildError, "no Debian bookworm entry"):
            self.entries(other="deb mirror://ubuntu noble main\n")


class Stages(FolderTest):
    def test_a_stage_is_made_once_and_again_when_an_input_changes(self):
        made = []

        def ensure(key):
            return stages.ensure(mock.Mock(), "s", key, None, lambda root: (made.append(key), tree.write(root, "f", key)))

        first = ensure("1" * 64)
        ensure("1" * 64)
        ensure("2" * 64)
        self.assertEqual(made, ["1" * 64, "2" * 64])
        self.assertEqual((first.root / "f").read_text(), "1" * 64)

    def test_a_stage_that_fails_leaves_nothing_behind(self):
        def fail(root):
            tree.write(root, "f", "x")
            raise BuildError("no")

        with self.assertRaises(BuildError):
            stages.ensure(mock.Mock(), "s", "1" * 64, None, fail)
        self.assertIsNone(stages.find("s", "1" * 64))
        self.assertEqual(list(place.work("tmp").iterdir()), [])


class Publishing(FolderTest):
    def publish(self, key):
        with publish.new_folder("a") as new:
            (new / "root").mkdir()
            publish.finish(new, "a", key, 'name = "a"\n', {"digest": key, "size": 1, "files": 1, "stages": [f"s-{key[:4]}"]})
        place.work("stages", f"s-{key[:4]}")
        return publish.make_current("a", key)

    def test_the_current_image_and_the_one_before_stay_and_older_ones_go(self):
        for digit in "123":
            self.assertTrue(self.publish(digit * 64))
        self.assertFalse(publish.make_current("a", "3" * 64))
        folder = place.images() / "a"
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["2" * 12, "3" * 12, "current"])
        self.assertEqual(os.readlink(folder / "current"), "3" * 12)
        self.assertEqual(sorted(p.name for p in place.work("stages").iterdir()), ["s-2222", "s-3333"])
        self.assertEqual([image["digest"] for image in publish.built()], ["3" * 64])

    def test_what_a_killed_build_left_is_removed_by_the_next(self):
        left = place.images() / "a" / ".new-killed"
        left.mkdir(parents=True)
        with place.exclusive():
            self.assertFalse(left.exists())

    def test_an_image_that_is_not_finished_never_becomes_visible(self):
        with self.assertRaises(BuildError), publish.new_folder("a"):
            raise BuildError("no")
        self.assertEqual(list((place.images() / "a").iterdir()), [])

    def test_an_image_whose_driver_is_missing_is_refused(self):
        description = {"shell": {"argv": ["/bin/sh"]}, "runners": {"python": {"argv": ["/usr/bin/python3", "/opt/cloister/d.py"]}}}
        root = self.folder / "root"
        for path in ("usr/bin/python3.11", "usr/bin/dash", "opt/cloister/d.py"):
            tree.write(root, path, "")
        # Links as an image has them: relative, and absolute within the image.
        tree.link(root, "bin", "usr/bin")
        tree.link(root, "usr/bin/sh", "dash")
        tree.link(root, "usr/bin/python3", "/usr/bin/python3.11")
        pipeline.require_programs(root, description)
        (root / "opt/cloister/d.py").unlink()
        with self.assertRaisesRegex(BuildError, "runners.python.argv names /opt/cloister/d.py"):
            pipeline.require_programs(root, description)

    def test_an_image_must_start_something_and_its_browser_must_be_there(self):
        root = self.folder / "root"
        root.mkdir()
        browser = {"browser": {"argv": ["/usr/lib/chromium/chromium", "--headless=new"]}}
        with self.assertRaisesRegex(BuildError, "browser names /usr/lib/chromium/chromium"):
            pipeline.require_programs(root, browser)
        tree.write(root, "usr/lib/chromium/chromium", "", executable=True)
        pipeline.require_programs(root, browser)
        with self.assertRaisesRegex(BuildError, "neither"):
            pipeline.require_programs(root, {})

    def test_no_browser_is_told_to_do_without_its_own_sandbox_or_to_open_a_port(self):
        found = [path for path in HERE.glob("*/image.toml") if "browser" in tomllib.loads(path.read_text(encoding="utf-8"))]
        self.assertGreaterEqual(len(found), 2)
        for path in found:
            argv = tomllib.loads(path.read_text(encoding="utf-8"))["browser"]["argv"]
            self.assertIn("--remote-debugging-pipe", argv, path)
            self.assertEqual(argv[-1], "about:blank", path)
            for word in argv:
                self.assertNotRegex(word, "^--(no-sandbox|disable-.*sandbox|single-process|remote-debugging-(port|address))", path)


class Drivers(FolderTest):
    def test_tests_transcripts_and_compiled_files_stay_out_of_images(self):
        for path in ("python/driver.py", "python/tests/test_x.py", "python/__pycache__/driver.pyc", "transcripts/a.json",
                     "js/node_modules/acorn/index.js", "js/package.json", "run_transcripts.py"):
            tree.write(self.folder, path, "{}")
        self.assertEqual(sorted(drivers.sources(self.folder)), ["js/package.json", "python/driver.py"])

    def test_a_wheel_gets_the_hook_and_nothing_else_changes(self):
        def wheel(init):
            data = io.BytesIO()
            with zipfile.ZipFile(data, "w") as archive:
                for name, text in {"pip/__init__.py": init, "pip/__main__.py": "main", "pip.dist-info/RECORD": "r"}.items():
                    archive.writestr(zipfile.ZipInfo(name, (2023, 1, 2, 3, 4, 6)), text)
            return data.getvalue()

        def read(data):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return [(entry.filename, entry.date_time, archive.read(entry)) for entry in archive.infolist()]

        hooked = drivers.hook_wheel(wheel("v = 1"), b"hook()")
        self.assertEqual(read(hooked), read(wheel("v = 1\n\nhook()")))
        self.assertEqual(hooked, drivers.hook_wheel(wheel("v = 1"), b"hook()"))

    def test_a_driver_that_changes_during_the_build_is_noticed(self):
        tree.write(self.folder, "drivers/python/driver.py", "1")
        files = drivers.sources(self.folder / "drivers")
        tree.write(self.folder, "drivers/python/driver.py", "2")
        with self.assertRaisesRegex(BuildError, "changed while"):
            drivers.install(self.folder / "root", self.folder / "drivers", files, {})


class Host(FolderTest):
    def test_options_of_the_caller_do_not_reach_pip_and_npm_but_the_index_does(self):
        with mock.patch.dict(os.environ, PIP_TARGET="/x", PIP_FIND_LINKS="/x", npm_config_prefix="/x", PIP_INDEX_URL="mirror://x"):
            env = place.environment()
        self.assertEqual({name for name in env if name.lower().startswith(("pip_target", "pip_find", "npm_config_prefix"))}, set())
        self.assertEqual(env["PIP_INDEX_URL"], "mirror://x")

    def test_every_image_of_this_repository_is_described_and_locked(self):
        locked = lockfile.read(HERE / "images.lock")
        names = place.image_names(HERE)
        self.assertIn("analysis", names)
        for name in names:
            if wasm.is_wasm((HERE / name / "image.toml").read_text()):
                self.assertTrue(wheels.locked(HERE / name / "requirements.txt"))
                self.assertTrue((HERE / name / "toolchain.lock").exists(), name)
                continue
            self.assertTrue(locked.get(name), name)
            if not pipeline.has_runners(HERE / name):
                self.assertFalse([*(HERE / name).glob("requirements.*"), *(HERE / name).glob("package*.json")], name)
                continue
            self.assertTrue(wheels.locked(HERE / name / "requirements.txt"))
            packages = json.loads((HERE / name / "package-lock.json").read_text())["packages"]
            self.assertEqual(packages[""]["dependencies"], json.loads((HERE / name / "package.json").read_text())["dependencies"])


if __name__ == "__main__":
    unittest.main()
