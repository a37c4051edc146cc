"""Checks of the assignments: pytest files that reach an answer through the fixture `answers` only.

    @pytest.mark.points(10, "a1.haversine_km")
    def test_known_pairs(answers, seed):
        '''Known distances.'''               # the title that the student reads
        got = expect.numbers(answers.haversine_km(a, b), (2,), "haversine_km")
        if ...:
            wrong("Your haversine takes degrees as radians: ...", example={"a": ..., "b": ...})

The marker says how many points the test is worth and to which question, ASSIGNMENT.FUNCTION, it
belongs; a question may have several tests. A test draws
what it needs at random from `seed`: 0 for students, others for the lecturer.
"""
