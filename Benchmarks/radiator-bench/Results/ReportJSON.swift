import FoundationEssentials

/// The results for programs.
extension Report {
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(JSONReport(self)), as: UTF8.self) + "\n"
    }
}

/// A list of outcomes under the key of each kind of family, and the targets.
private struct JSONReport: Encodable {
    private let isTargetMet: Bool
    private let targets: [JSONVerdict]
    private let outcomes: [String: [JSONOutcome]]

    init(_ report: Report) {
        isTargetMet = report.isTargetMet
        targets = report.verdicts.map(JSONVerdict.init)
        outcomes = report.families.reduce(into: [:]) { lists, group in
            lists[group.family.jsonKey, default: []] += group.outcomes.map {
                JSONOutcome(family: group.family.name, outcome: $0)
            }
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: JSONKey.self)
        try container.encode(isTargetMet, forKey: JSONKey("isTargetMet"))
        try container.encode(targets, forKey: JSONKey("targets"))
        for (key, list) in outcomes { try container.encode(list, forKey: JSONKey(key)) }
    }
}

private struct JSONVerdict: Encodable {
    let workload, target, amount, state: String

    init(_ verdict: Verdict) {
        workload = verdict.workload
        target = verdict.target
        amount = verdict.amount
        state =
            switch verdict.state {
            case .met: "met"
            case .missed: "missed"
            case .notJudged: "not judged"
            }
    }
}

/// The medians beside the names, the turns behind them.
private struct JSONOutcome: Encodable {
    let family: String
    let outcome: Outcome

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: JSONKey.self)
        try container.encode(family, forKey: JSONKey("family"))
        try container.encode(outcome.workload, forKey: JSONKey("workload"))
        try container.encode(outcome.peer.rawValue, forKey: JSONKey("peer"))
        try outcome.figures.encode(into: &container)
        if outcome.turns.count > 1 {
            try container.encode(outcome.turns.map(JSONFigures.init), forKey: JSONKey("turns"))
        }
    }
}

private struct JSONFigures: Encodable {
    let figures: Figures

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: JSONKey.self)
        try figures.encode(into: &container)
    }
}

extension Figures {
    fileprivate func encode(into container: inout KeyedEncodingContainer<JSONKey>) throws {
        for (figure, value) in values where value.isFinite {
            try container.encode(value, forKey: JSONKey(figure.name))
        }
    }
}

private struct JSONKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
}
