"""Files come back byte for byte, and what is too large for a client is split or refused with advice."""

import hashlib
import json
import os
import urllib.request

import pytest

import door

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4095, 65_537, MIB, 10 * 1000 * 1000])
def test_random_bytes_come_back_as_they_were(shared, size):
    content = os.urandom(size)
    shared.call("writeFiles", content=[{"path": f"random-{size}.bin", "blob": content}])
    assert (
        shared.output(f"import hashlib; print(hashlib.sha256(open('random-{size}.bin', 'rb').read()).hexdigest())")
        == hashlib.sha256(content).hexdigest()
    )
    assert shared.read(f"random-{size}.bin") == content


@pytest.mark.parametrize(
    "content",
    [
        "",
        "plain\n",
        "no newline at the end",
        "\ufeffmark",
        "a\r\nb\rc\n",
        "grüße, 世界, 🦀\n",
        "tab\t\x0b\x1b[31m",
        '"quotes" \\ / \u2028',
        "x" * (5 * MIB),
    ],
    ids=["empty", "plain", "no-newline", "byte-order-mark", "line-ends", "unicode", "controls", "escapes", "long"],
)
def test_text_comes_back_as_it_was(shared, content):
    shared.call("writeFiles", content=[{"path": "text.txt", "text": content}])
    assert int(shared.output("import os; print(os.path.getsize('text.txt'))")) == len(content.encode())
    block = shared.call("readFiles", paths=["text.txt"])["content"][0]
    assert block["resource"]["text"] == content and block["resource"]["mimeType"] == "text/plain"


def test_a_text_file_that_is_no_utf_8_comes_back_as_bytes(shared):
    content = "größe".encode("latin-1")
    shared.call("writeFiles", content=[{"path": "latin.csv", "blob": content}])
    resource = shared.call("readFiles", paths=["latin.csv"])["content"][0]["resource"]
    assert (resource["type"], resource["blob"]) == ("blob", content)


def test_base64_in_a_text_is_not_decoded(shared):
    shared.call("writeFiles", content=[{"path": "encoded.txt", "text": "AP8="}])
    assert shared.read("encoded.txt") == b"AP8="


@pytest.mark.parametrize(
    "name",
    [
        "with space.txt",
        "größe.txt",
        "100%25.txt",
        "#?&.txt",
        "deep/er/est.txt",
        ".hidden",
        "-dash",
        "quote'\".txt",
        "🦀.txt",
    ],
)
def test_every_name_can_be_written_listed_read_and_removed(session, name):
    session.call("writeFiles", content=[{"path": name, "text": "x"}])
    result = session.call("readFiles", paths=[name])
    # The AgentCore SDK cuts the scheme off and takes the rest as the name.
    assert result["content"][0]["resource"]["uri"].replace("file://", "") == f"/{name}"
    folder, _, last = name.rpartition("/")
    assert last in door.links(session.call("listFiles", path=folder))
    assert session.output(f"print(open({name!r}).read())") == "x"
    assert session.call("removeFiles", paths=[name])["isError"] is False


def test_many_files_that_are_too_large_for_one_message_come_in_several(session):
    session.python("import os\nfor i in range(30): open(f'{i}.bin', 'wb').write(os.urandom(1 << 20))")
    paths = [f"{index}.bin" for index in range(30)]
    sums = json.loads(
        session.output(
            f"import hashlib, json; print(json.dumps([hashlib.sha256(open(p, 'rb').read()).hexdigest() for p in {paths}]))"
        )
    )
    events = list(session.invoke("readFiles", paths=paths)["stream"])
    assert len(events) > 1 and all(set(event) == {"result"} for event in events)
    blocks = [block for event in events for block in event["result"]["content"]]
    assert [hashlib.sha256(block["resource"]["blob"]).hexdigest() for block in blocks] == sums


def test_no_message_is_larger_than_what_boto3_takes(session):
    session.python("import os\nfor i in range(3): open(f'{i}.bin', 'wb').write(os.urandom(9 << 20))")
    answer = door.invoke(session.id, "readFiles", {"paths": ["0.bin", "1.bin", "2.bin"]})
    position, sizes = 0, []
    while position < len(answer.body):
        total = int.from_bytes(answer.body[position : position + 4], "big")
        headers = int.from_bytes(answer.body[position + 4 : position + 8], "big")
        sizes.append(total - headers - 16)
        position += total
    assert len(sizes) == 3 and max(sizes) <= door.LARGEST_MESSAGE


@pytest.mark.parametrize("name, write", [("large.bin", "os.urandom(20 << 20)"), ("large.txt", "b'x' * (25 << 20)")])
def test_a_file_that_is_too_large_for_one_message_is_refused_with_a_way_that_works(session, name, write):
    session.python(f"import os; open('{name}', 'wb').write({write});")
    result = session.call("readFiles", paths=[name])
    assert result["isError"] is True and [block["type"] for block in result["content"]] == ["text"]
    [url] = [word for word in door.text(result).split() if word.startswith("http")]
    fetch = urllib.request.Request(
        url.rstrip(".,"), headers={"authorization": f"Bearer {os.environ['CLOISTER_TOKEN']}"}
    )
    with urllib.request.urlopen(fetch) as answer:
        digest = hashlib.sha256(answer.read()).hexdigest()
    assert digest == session.output(f"import hashlib; print(hashlib.sha256(open('{name}', 'rb').read()).hexdigest())")


def test_output_beyond_the_policys_limit_is_cut_and_the_answer_says_so(session):
    result = session.python("print('x' * (3 << 20))")
    assert result["isError"] is False or "truncated" in door.text(result)
    assert "output truncated at 1048576 bytes" in door.text(result)
    assert len(result["structuredContent"]["stdout"]) <= 1 << 20
    assert session.output("print('alive')") == "alive"


def test_output_that_is_no_utf_8_is_shown_with_replacements(shared):
    result = shared.python("import os; os.write(1, b'a\\xffb\\n');")
    assert result["structuredContent"]["stdout"] == "a\ufffdb"


def test_a_file_larger_than_the_sandboxes_queue_is_read_whole(session):
    """Above 16 MiB it fills the sandbox's queue for the server, which must go on as soon as the server has read it."""
    session.python("open('large.bin', 'wb').write(bytes(range(256)) * (17 << 12));")
    assert session.read("large.bin") == bytes(range(256)) * (17 << 12)
