import FlotillaTesting
import FlotillaWire
import Seats
import Testing

/// The machine in a cluster of three, in virtual time.
@Suite struct SeatsTests {
    @Test func `a seat is held by one, and sold once`() throws {
        let hall = try TestCluster(of: Seats.self)
        let (anna, ben) = (try hall.openSession(), try hall.openSession())
        #expect(try hall.process(.hold("A1"), in: anna) == .done)
        #expect(try hall.process(.hold("A1"), in: ben) == .refused)
        #expect(try hall.process(.buy("A1"), in: ben) == .refused)
        #expect(try hall.process(.buy("A1"), in: anna) == .done)
        #expect(try hall.query(Seats.Query(seat: "A1")) == .sold)
    }

    @Test func `a seat that nobody buys is free after a minute, whoever leads by then`() throws {
        let hall = try TestCluster(of: Seats.self)
        let anna = try hall.openSession()
        try hall.process(.hold("A1"), in: anna)
        try hall.advance(by: .seconds(30))
        hall.stop(try hall.leader)
        try hall.advance(by: .seconds(45))
        #expect(try hall.query(Seats.Query(seat: "A1")) == .held(by: anna), "the next leader grants a whole minute")
        try hall.advance(by: .seconds(30))
        #expect(try hall.query(Seats.Query(seat: "A1")) == .free)
        #expect(try hall.takeMessages(to: anna) == [Seats.Expired(seat: "A1")])
    }

    @Test func `a seat is free when whoever holds it is gone`() throws {
        let hall = try TestCluster(of: Seats.self)
        let anna = try hall.openSession()
        try hall.process(.hold("A1"), in: anna)
        try hall.process(.hold("A2"), in: anna)
        try hall.process(.buy("A2"), in: anna)
        try hall.endSession(anna)
        #expect(try hall.query(Seats.Query(seat: "A1")) == .free)
        #expect(try hall.query(Seats.Query(seat: "A2")) == .sold)
    }
}
