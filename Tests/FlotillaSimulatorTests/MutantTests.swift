import FlotillaSimulator
import Testing

@Suite("The form of planted bugs")
struct MutantTests {
    private static let good = """
        A bug that does
        something wrong.
        rule: election safety

        file: Libraries/A.swift
        <<<
        let right = true
        ===
        let right = !isPlanted("bug")
        >>>

        <<<
            one
            two
        ===
            isPlanted("bug")
        >>>

        file: Libraries/B.swift
        <<<
        x
        ===
        isPlanted("bug") ? y : x
        >>>

        """

    @Test func `are read with all their changes in order`() throws {
        let mutant = try Mutant(name: "bug", text: Self.good)
        #expect(mutant.summary == "A bug that does something wrong.")
        #expect(mutant.rule == "election safety")
        #expect(mutant.changes.map(\.file) == ["Libraries/A.swift", "Libraries/A.swift", "Libraries/B.swift"])
        #expect(mutant.changes[0].replacement == #"let right = !isPlanted("bug")"#)
        #expect(mutant.changes[1].original == "    one\n    two")
    }

    @Test(arguments: [
        ("", "it does not say what the bug is"),
        ("A bug.\n", "no line 'rule: …' behind what the bug is"),
        ("A bug.\nrule: r\n", "it changes nothing"),
        ("A bug.\nrule: r\nfile: A\n", "nothing is changed in A"),
        ("A bug.\nrule: r\nfile: A\n<<<\nx\n", "no line '===' behind line 4"),
        ("A bug.\nrule: r\nfile: A\n<<<\nx\n===\ny\n", "no line '>>>' behind line 6"),
        ("A bug.\nrule: r\nfile: A\n<<<\nx\n===\nx\n>>>\n", "a change in A changes nothing"),
        ("A bug.\nrule: r\nfile: A\n<<<\n===\nisPlanted(\"bug\")\n>>>\n", "a change in A changes nothing"),
        (
            "A bug.\nrule: r\nfile: A\n<<<\nx\n===\nisPlanted(\"other\") ? y : x\n>>>\n",
            "a change in A lacks isPlanted(\"bug\")"
        ),
        ("A bug.\nrule: r\nfile: A\n<<<\nx\n===\nisPlanted(\"bug\")\n>>>\nmore\n", "line 9 is not expected: more"),
    ])
    func `are refused with a reason when they are not in that form`(_ text: String, _ reason: String) {
        #expect(throws: MutantError(mutant: "bug", reason: reason)) { try Mutant(name: "bug", text: text) }
    }
}
