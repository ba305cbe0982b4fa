"""Program ids."""

from __future__ import annotations

from awm_crank.wire import ids

# reference/system.md, "Programs".
DESCRIBED = {
    "world": "WorLD15A7CrDwLcLy4fRqtaTb9fbd8o8iqiEMUDse2n",
    "session_state": "FJwbNTbGHSpq4a72ro1aza53kvs7YMNT7J5U34kaosFj",
    "hidden_state": "Ea3VKF8CW3svQwiT8pn13JVdbVhLHSBURtNuanagc4hs",
    "input_buffer": "3R2RbzwP54qdyXcyiwHW2Sj6uVwf4Dhy7Zy8RcSVHFpq",
    "frame_log": "3mWTNv5jhzLnpG4Xt9XqM1b2nbNpizoGEJxepUhhoaNK",
    "model_manifest": "AucQsnqWYXeVcig4puWFjnd8NXruCtjS8EVgA2B5KxUk",
    "weight_shard": "A56nQANMn1ThuqZLZkAVooDmUMrSoEddyNHF41WbqvXE",
    "session_lifecycle": "4ozheJvvMhG7yMrp1UR2kq1fhRvjXoY5Pn3NJ4nvAcyE",
    "submit_input": "F9ZqWHVDtsXZdHLU8MXfybsS1W3TTGv4NegcJZK9LnWx",
    "run_inference": "3tHPJJSNhKwbp7K5vSYCUdYVX9bGxRCmpddwaJWRKPyb",
}


def test_ids_are_the_described_ones() -> None:
    """Programs have the addresses that existing clients call. No client calls the engine yet."""
    assert {name: str(key) for name, key in ids.PROGRAMS.items() if name != "engine"} == DESCRIBED


def test_session_components_are_in_the_systems_order() -> None:
    """The order of the pairs is session-state, hidden-state, input-buffer, frame-log."""
    names = {key: name for name, key in ids.COMPONENTS.items()}
    assert [names[key] for key in ids.SESSION_COMPONENTS] == [
        "session_state",
        "hidden_state",
        "input_buffer",
        "frame_log",
    ]
    assert ids.ZERO_KEY == ids.SYSTEM_PROGRAM
