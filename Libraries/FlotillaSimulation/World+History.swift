import FlotillaWire

/// The last judgement: whether everything that clients saw can be explained by objects to which their operations came
/// one by one.
extension World {
    func judgeHistory() -> Violation? {
        for (cluster, options) in plan.options.clusters.enumerated() {
            let attempts = history.filter { $0.cluster == cluster && !$0.hadNoEffect }
            switch options.machine {
            case "counter": judge(attempts, CounterModel(), Self.counterOperation)
            case "list": judge(attempts, ListModel(), Self.listOperation)
            default: judge(attempts, RegisterModel(), Self.registerOperation)
            }
            if let violation { return violation }
        }
        return nil
    }

    private func judge<Model: SequentialModel>(
        _ attempts: [Attempt], _ model: Model, _ convert: (Attempt) -> (key: Int, Model.Input, Model.Output?)?
    ) {
        let history = attempts.compactMap { attempt in
            convert(attempt).map { key, input, output in
                Operation(
                    client: attempt.client, key: "\(clusterNames[attempt.cluster])/\(key)", input: input,
                    output: output,
                    invoked: attempt.invoked, returned: attempt.returned)
            }
        }
        let report = LinearizabilityChecker(model: model, limit: 300_000).check(history)
        self.report.configurationsSearched += report.configurations
        for part in report.parts {
            if case .undecided = part.verdict { self.report.undecidedHistories += 1 }
        }
        if let violated = report.violations.first { fail(.linearizability, violated.description) }
    }

    private static func registerOperation(
        _ attempt: Attempt
    ) -> (key: Int, RegisterModel.Input, RegisterModel.Output?)? {
        let index = attempt.index?.rawValue
        switch attempt.work {
        case .put(let key, let value, let ifIndex):
            let output: RegisterModel.Output? =
                switch attempt.answer {
                case .stored(let index): .stored(index: index)
                case .conflict(let current): .conflict(current: current, index: index)
                case nil: nil
                // An answer to another question: no order explains it.
                case .deleted, .absent, .item, .number, .list: .absent
                }
            return (key, .put(value, ifIndex: ifIndex), output)
        case .get(let key):
            let output: RegisterModel.Output? =
                switch attempt.answer {
                case .item(let value, let index): .value(value, index: index)
                case .absent: .absent
                case nil: nil
                case .stored, .conflict, .deleted, .number, .list: .deleted(index: nil)
                }
            return (key, .get, output)
        case .delete(let key):
            let output: RegisterModel.Output? =
                switch attempt.answer {
                case .deleted: .deleted(index: index)
                case .absent: .notFound(index: index)
                case nil: nil
                case .stored, .conflict, .item, .number, .list: .absent
                }
            return (key, .delete, output)
        case .add, .total, .append, .read: return nil
        }
    }

    private static func counterOperation(_ attempt: Attempt) -> (key: Int, CounterModel.Input, Int64?)? {
        var total: Int64?
        if case .number(let number) = attempt.answer { total = number }
        switch attempt.work {
        case .add(let amount, _): return (0, .add(amount), total)
        case .total: return (0, .get, total)
        case .put, .get, .delete, .append, .read: return nil
        }
    }

    private static func listOperation(_ attempt: Attempt) -> (key: Int, ListModel.Input, ListModel.Output?)? {
        switch (attempt.work, attempt.answer) {
        case (.append(let key, let element), .number(let length)):
            return (key, .append(element), .appended(length: Int(length)))
        case (.append(let key, let element), _): return (key, .append(element), nil)
        case (.read(let key), .list(let elements)): return (key, .read, .elements(elements))
        case (.read(let key), _): return (key, .read, nil)
        case (.put, _), (.get, _), (.delete, _), (.add, _), (.total, _): return nil
        }
    }
}
