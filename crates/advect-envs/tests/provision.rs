//! Provisioning into an empty folder: only where `ADVECT_REQUIRE_MUJOCO=1`, because it needs the network.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::mujoco::provision_into;

#[test]
fn provisions_once_and_then_only_checks() {
    if !common::mujoco_is_required() {
        println!("skipped: set ADVECT_REQUIRE_MUJOCO=1 to download MuJoCo into a temporary folder");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mujoco");
    let mut first = Vec::new();
    provision_into(&root, &mut |line| first.push(line.to_owned())).unwrap();
    assert!(root.join("lib/libmujoco.so.3.17.0").is_file());
    assert!(root.join("models/gymnasium/half_cheetah.xml").is_file());
    let robots = root.join("models/gymnasium_robotics");
    assert!(robots.join("point/point.xml").is_file());
    for file in [
        "adroit_hand/adroit_pen.xml",
        "fetch/slide.xml",
        "hand/manipulate_block.xml",
        "stls/fetch/gripper_link.stl",
        "stls/hand/palm.stl",
        "textures/block.png",
    ] {
        assert!(robots.join(file).is_file(), "{file} is missing");
    }
    let kitchen = robots.join("kitchen_franka");
    assert!(
        kitchen
            .join("kitchen_assets/kitchen_env_model.xml")
            .is_file()
    );
    assert!(
        kitchen
            .join("franka_assets/meshes/visual/hand.stl")
            .is_file()
    );
    for licence in [
        "mujoco/LICENSE",
        "gymnasium/LICENSE",
        "gymnasium_robotics/LICENSE",
        "gymnasium_robotics/LICENSE.md",
    ] {
        assert!(
            root.join("licenses").join(licence).is_file(),
            "{licence} is missing"
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "a temporary folder is left"
    );
    let mut second = Vec::new();
    provision_into(&root, &mut |line| second.push(line.to_owned())).unwrap();
    assert!(first.len() > second.len());
    assert_eq!(second.len(), 1);
}
