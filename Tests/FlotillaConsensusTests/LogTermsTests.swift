import FlotillaWire
import Testing

@testable import FlotillaConsensus

/// The terms of a log, one by one: what `LogTerms` must agree with.
private struct DumbLog {
    var base = 0
    var baseTerm: UInt64 = 0
    var terms: [UInt64] = []
    var last: Int { base + terms.count }

    func term(at index: Int) -> Term? {
        if index == base { return Term(baseTerm) }
        return index > base && index <= last ? Term(terms[index - base - 1]) : nil
    }

    func lastIndex(notAfter index: Int, termAtMost term: UInt64) -> Int {
        var index = min(index, last)
        while index > base, terms[index - base - 1] > term { index -= 1 }
        return index
    }
}

@Suite struct LogTermsTests {
    @Test func `any sequence of changes leaves what a plain list of terms holds`() {
        for seed in 1...60 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            var log = LogTerms()
            var dumb = DumbLog()
            for _ in 0..<60 {
                change(&log, &dumb, using: &random)
                expectSame(log, dumb)
            }
        }
    }

    private func change(_ log: inout LogTerms, _ dumb: inout DumbLog, using random: inout SplitMix64) {
        switch Int.random(in: 0..<6, using: &random) {
        case 0 where dumb.last > dumb.base:
            let index = Int.random(in: dumb.base + 1...dumb.last + 1, using: &random)
            log.truncate(from: LogIndex(UInt64(index)))
            dumb.terms.removeSubrange(index - dumb.base - 1..<dumb.terms.count)
        case 1:
            let index = Int.random(in: dumb.base...dumb.last, using: &random)
            log.compact(through: LogIndex(UInt64(index)))
            dumb.baseTerm = dumb.term(at: index)?.rawValue ?? 0
            dumb.terms.removeFirst(index - dumb.base)
            dumb.base = index
        default:
            let term = (dumb.terms.last ?? dumb.baseTerm) + UInt64.random(in: 0...1, using: &random)
            let count = Int.random(in: 1...3, using: &random)
            log.append(count: count, term: Term(term))
            dumb.terms += Array(repeating: term, count: count)
        }
    }

    private func expectSame(_ log: LogTerms, _ dumb: DumbLog) {
        #expect(Int(log.lastIndex.rawValue) == dumb.last)
        #expect(Int(log.baseIndex.rawValue) == dumb.base)
        #expect(log.lastTerm.rawValue == dumb.terms.last ?? dumb.baseTerm)
        #expect(zip(log.runs, log.runs.dropFirst()).allSatisfy { $0.first < $1.first && $0.term < $1.term })
        for index in 0...dumb.last + 2 {
            #expect(log.term(at: LogIndex(UInt64(index))) == dumb.term(at: index))
        }
        for term in 0...UInt64(20) {
            let first = dumb.terms.firstIndex(of: term).map { LogIndex(UInt64(dumb.base + $0 + 1)) }
            #expect(log.firstIndex(of: Term(term)) == first)
            let found = log.lastIndex(notAfter: LogIndex(UInt64(dumb.last)), termAtMost: Term(term))
            #expect(Int(found.rawValue) == dumb.lastIndex(notAfter: dumb.last, termAtMost: term))
        }
    }

    @Test func `the shared part of two logs is what a comparison entry by entry finds`() {
        var random = SplitMix64(seed: 7)
        for _ in 0..<500 {
            let own = terms(using: &random)
            let other = terms(using: &random)
            let previous = Int.random(in: 0...min(own.count, other.count), using: &random)
            let entries = other[previous...].map { SimulatedEntry(term: Term($0), id: 0) }
            guard !entries.isEmpty else { continue }
            var log = LogTerms()
            for term in own { log.append(count: 1, term: Term(term)) }
            let expected = zip(own[previous...], other[previous...]).prefix { $0 == $1 }.count
            let start = LogIndex(UInt64(previous))
            let found = log.sharedCount(
                after: start, entries.runs(after: start), through: LogIndex(UInt64(other.count)))
            #expect(found == expected)
        }
    }

    private func terms(using random: inout SplitMix64) -> [UInt64] {
        var term: UInt64 = 1
        return (0..<Int.random(in: 0...12, using: &random)).map { _ in
            term += UInt64.random(in: 0...3, using: &random) / 3
            return term
        }
    }

    @Test func `runs that overlap the end are appended from the end on`() {
        var log = LogTerms()
        log.append(count: 3, term: 1)
        log.append([TermRun(first: 2, term: 1), TermRun(first: 5, term: 4)], through: 6)
        #expect(log.runs == [TermRun(first: 1, term: 1), TermRun(first: 5, term: 4)])
        #expect(log.lastIndex == 6)
        #expect(log.description == "[1...4 of term 1, 5...6 of term 4]")
    }
}
