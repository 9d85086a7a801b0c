"""What people come for: run an analysis, see the table, fetch the chart."""

from bedrock_agentcore.tools.code_interpreter_client import CodeInterpreter, code_session

import door

CODE = (
    "import pandas as pd, matplotlib.pyplot as plt; "
    "df = pd.DataFrame({'x':[1,2,3,4,5],'y':[2,4,6,8,10]}); "
    "plt.plot(df['x'], df['y']); plt.savefig('output.png'); print(df.describe())"
)
TABLE = """\
              x          y
count  5.000000   5.000000
mean   3.000000   6.000000
std    1.581139   3.162278
min    1.000000   2.000000
25%    2.000000   4.000000
50%    3.000000   6.000000
75%    4.000000   8.000000
max    5.000000  10.000000"""
PNG = b"\x89PNG\r\n\x1a\n"


def test_boto3_runs_an_analysis_and_fetches_its_chart(aws):
    started = aws.start_code_interpreter_session(codeInterpreterIdentifier="aws.codeinterpreter.v1")
    where = {"codeInterpreterIdentifier": "aws.codeinterpreter.v1", "sessionId": started["sessionId"]}
    answer = aws.invoke_code_interpreter(**where, name="executeCode", arguments={"code": CODE, "language": "python"})
    [event] = answer["stream"]
    result = event["result"]
    assert result["isError"] is False
    assert result["content"][0] == {"type": "text", "text": TABLE}
    assert result["structuredContent"]["stdout"] == TABLE

    link = door.links(result)["output.png"]
    assert (link["mimeType"], link["uri"]) == ("image/png", "file:///output.png")
    answer = aws.invoke_code_interpreter(**where, name="readFiles", arguments={"paths": ["output.png"]})
    [event] = answer["stream"]
    chart = event["result"]["content"][0]["resource"]["blob"]
    assert chart.startswith(PNG) and len(chart) == link["size"]

    aws.stop_code_interpreter_session(**where)
    assert aws.get_code_interpreter_session(**where)["status"] == "TERMINATED"


def test_the_sdks_class_runs_an_analysis_and_fetches_its_chart():
    interpreter = CodeInterpreter("us-west-2")
    interpreter.start()
    try:
        analyse(interpreter)
    finally:
        assert interpreter.stop() is True


def test_the_sdks_context_manager_runs_an_analysis_and_fetches_its_chart():
    with code_session("us-west-2") as interpreter:
        analyse(interpreter)


def analyse(interpreter: CodeInterpreter):
    answer = interpreter.invoke("executeCode", {"code": CODE, "language": "python"})
    results = [event["result"] for event in answer["stream"]]
    assert door.text(results[0]) == TABLE and "output.png" in door.links(results[0])
    assert interpreter.download_file("output.png").startswith(PNG)
