"""The transcripts that every driver must play, for both languages on both runtimes."""

import os
import sys

from .support import COMMANDS, DRIVERS, DriverTest

sys.path.insert(0, DRIVERS)

from run_transcripts import play  # noqa: E402

FOLDER = os.path.join(DRIVERS, "transcripts")


class Transcripts:
    def test_every_transcript_is_played_as_written(self):
        played = 0
        for name in sorted(os.listdir(FOLDER)):
            for language in ("javascript", "typescript"):
                with self.subTest(transcript=name, language=language):
                    played += play(os.path.join(FOLDER, name), COMMANDS[self.runtime], language, "pipe")
        self.assertGreater(played, 40)


class TranscriptsNode(Transcripts, DriverTest):
    runtime = "nodejs"


class TranscriptsDeno(Transcripts, DriverTest):
    runtime = "deno"
