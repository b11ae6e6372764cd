//! Which arm serves whom; what is refused is tested against a running edge in `tests/tests/hostile.rs`.

use super::*;

fn channel(weights: &[u32]) -> Channel {
    let arm = |(k, weight): (usize, &u32)| Arm {
        name: format!("arm-{k}"),
        bundle: Digest::of(&[k as u8]),
        release: String::new(),
        tables: None,
        weight: *weight,
    };
    Channel {
        surface: "s".into(),
        channel: "c".into(),
        sequence: 1,
        issued: 0,
        expires: 10,
        salt: "salt".into(),
        arms: weights.iter().enumerate().map(arm).collect(),
        shadow: None,
        revoked: Vec::new(),
    }
}

#[test]
fn users_are_split_by_weight_and_stay_where_they_are() {
    let channel = channel(&[3, 1]);
    let count = (0..4000).filter(|k| channel.arm_for(&k.to_string()).name == "arm-0").count();
    // Five standard errors around 3,000.
    assert!(count.abs_diff(3000) < 140, "{count}");
    assert_eq!(channel.arm_for("ada"), channel.arm_for("ada"));
    let other = Channel { salt: "other".into(), ..channel.clone() };
    let moved = (0..4000).filter(|k| channel.arm_for(&k.to_string()) != other.arm_for(&k.to_string())).count();
    assert!(moved > 1000, "another salt is another split: {moved}");
}

#[test]
fn names_that_are_no_path() {
    assert!(["stable", "canary-2", "v1.2_b"].into_iter().all(is_name));
    assert!(!["", "a/b", "..", "../x", "a b", "é", &"x".repeat(65)].into_iter().any(is_name));
}

#[test]
fn arms_that_make_no_sense() {
    for (channel, says) in [
        (channel(&[]), "no arm"),
        (channel(&[1, 0]), "weight 0"),
        (Channel { arms: [channel(&[1]).arms, channel(&[1]).arms].concat(), ..channel(&[]) }, "twice"),
        (Channel { revoked: vec![Digest::of(&[0])], ..channel(&[1]) }, "revoked"),
    ] {
        let error = channel.accept("s", "c", None, 0).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(channel(&[1]).accept("s", "c", Some(1), 10), Ok(()));
}
