//! A check of every offset of [`super::layout`] right after the library is opened.

use std::sync::Arc;

use super::dl::Api;
use super::layout::{self, state};
use super::screen::{self, Camera, Scene};
use super::sim::{Data, Field, Kind, Model};
use crate::EnvError;

const TIMESTEP: f64 = 0.0123;
const MASS: f64 = 1.75;
const GEAR: f64 = 7.0;
const CTRL_RANGE: [f64; 2] = [-0.25, 0.75];
/// Gain and bias of the actuator.
const ACTUATOR: [f64; 2] = [2.5, 0.125];
const BODY: [f64; 3] = [0.5, -0.25, 2.0];
/// Half a turn about the vertical axis.
const TURNED: [f64; 4] = [0.0, 0.0, 0.0, 1.0];
const CENTRE: [f64; 3] = [0.25, -0.25, 2.0];
/// In the body and in the world.
const LOCAL_SITE: [f64; 3] = [0.125, 0.0, 0.0];
const SITE: [f64; 3] = [0.375, -0.25, 2.0];
/// Dry friction of the hinge, at which its constraint force saturates.
const FRICTION: f64 = 0.375;
const ANGULAR_VELOCITY: f64 = 3.0;
const CTRL: f64 = 0.5;
const LATER_ANGLE: f64 = 0.625;
/// Width, height, shadow size and samples.
const DRAWING: [i32; 4] = [123, 77, 333, 3];
const LOOK_AT: [f64; 3] = [0.5, 1.5, 2.5];
const EXTENT: f64 = 6.0;
const ANGLES: [f64; 2] = [35.0, -15.0];
const SHAPES: i32 = 37;
const FORCE: [f64; 3] = [11.0, 12.0, 13.0];
/// `eq_data` of the weld as compiled, and after `reset_welds`.
const RELATIVE_POSE: [f64; 10] = [0.0, 0.0, 0.0, 7.0, 8.0, 9.0, 0.0, 0.0, 0.0, 1.0];
const AFTER_RESET: [f64; 10] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0];

/// One body on one hinge with one motor and two sensors, in numbers that occur nowhere else.
fn xml() -> String {
    let join = |numbers: &[f64]| {
        let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
        words.join(" ")
    };
    format!(
        r#"<mujoco><option timestep="{TIMESTEP}"/><statistic center="{}" extent="{EXTENT}"/><visual>
        <global offwidth="{}" offheight="{}" azimuth="{}" elevation="{}"/><quality shadowsize="{}" offsamples="{}"/></visual><worldbody><body name="arm" pos="{}" quat="{}">
        <joint name="hinge" type="hinge" axis="0 1 0" frictionloss="{FRICTION}"/>
        <inertial pos="0.25 0 0" mass="{MASS}" diaginertia="0.1 0.2 0.15"/><site name="spot" pos="{}"/></body></worldbody>
        <actuator><general name="drive" joint="hinge" gear="{GEAR}" ctrllimited="true" ctrlrange="{}"
        gainprm="{}" biastype="affine" biasprm="{}"/></actuator>
        <sensor><framepos objtype="site" objname="spot"/><jointvel joint="hinge"/></sensor></mujoco>"#,
        join(&LOOK_AT),
        DRAWING[0],
        DRAWING[1],
        ANGLES[0],
        ANGLES[1],
        DRAWING[2],
        DRAWING[3],
        join(&BODY),
        join(&TURNED),
        join(&LOCAL_SITE),
        join(&CTRL_RANGE),
        ACTUATOR[0],
        ACTUATOR[1],
    )
}

/// Compares what the offsets give with what the model says and with MuJoCo's own accessors.
///
/// # Errors
/// The first quantity that differs.
pub(super) fn run(api: &Arc<Api>) -> Result<(), String> {
    let model = Model::compile(api, "self_test.xml", Some(&xml())).map_err(|e| e.to_string())?;
    check_model(&model)?;
    check_names(&model)?;
    check_fields(&model)?;
    check_drawing(&model)?;
    check_camera(&model)?;
    let mut data = Data::new(Arc::new(model)).map_err(|e| e.to_string())?;
    simulate(&mut data).map_err(|e| e.to_string())?;
    check_data(&data)?;
    check_weld(api)
}

fn check_model(model: &Model) -> Result<(), String> {
    let sizes = [
        model.nq(),
        model.nv(),
        model.nu(),
        model.nbody(),
        model.nsite(),
        model.nsensordata(),
    ];
    let sizes = sizes.map(|size| size as f64);
    same(
        "nq, nv, nu, nbody, nsite, nsensordata",
        &sizes,
        &[1.0, 1.0, 1.0, 2.0, 1.0, 4.0],
    )?;
    same("opt.timestep", &[model.timestep()], &[TIMESTEP])?;
    same("qpos0", model.qpos0(), &[0.0])?;
    same("body_mass", model.body_mass(), &[0.0, MASS])?;
    same("actuator_ctrlrange", model.ctrl_range(), &CTRL_RANGE)
}

/// A turned body with a site, which a weld ties to a mocap body.
fn weld_xml() -> &'static str {
    r#"<mujoco><worldbody><body name="hand" mocap="true" pos="1.5 2.5 3.5" quat="0 0 1 0"/>
        <body name="arm" pos="4 5 6" quat="0 1 0 0"><joint type="slide" axis="1 0 0"/><geom size="0.1"/>
        <site name="tip" pos="0.25 0 0"/></body></worldbody>
        <equality><connect body1="arm" anchor="0 0 0"/><weld body1="hand" body2="arm" relpose="7 8 9 0 0 0 1"/></equality></mujoco>"#
}

/// What [`super::mocap`] reads and writes.
fn check_weld(api: &Arc<Api>) -> Result<(), String> {
    let words = |error: EnvError| error.to_string();
    let mut model = Model::compile(api, "self_test.xml", Some(weld_xml())).map_err(words)?;
    same("eq_data", &model.welds()[..10], &RELATIVE_POSE)?;
    model.reset_welds();
    same("eq_data", &model.welds()[..10], &AFTER_RESET)?;
    let arm = model.index_of(Kind::Body, "arm").map_err(words)?;
    let tip = model.index_of(Kind::Site, "tip").map_err(words)?;
    same("mj_name2id", &[arm as f64, tip as f64], &[2.0, 0.0])?;
    let mut data = Data::new(Arc::new(model)).map_err(words)?;
    data.forward().map_err(words)?;
    same("mocap_pos", data.mocap_pos(), &[1.5, 2.5, 3.5])?;
    same("mocap_quat", data.mocap_quat(), &[0.0, 0.0, 1.0, 0.0])?;
    same("xquat", &data.xquat()[4 * arm..], &[0.0, 1.0, 0.0, 0.0])?;
    let turned = [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0];
    same("site_xmat", data.site_xmat(), &turned)?;
    let jacobian = data.site_jacobian(tip).map_err(words)?;
    same("mj_jacSite", &jacobian.position, &[1.0, 0.0, 0.0])?;
    same("mj_jacSite", &jacobian.rotation, &[0.0; 3])
}

fn check_names(model: &Model) -> Result<(), String> {
    for (kind, name, wanted) in [
        (Kind::Body, "arm", 1),
        (Kind::Site, "spot", 0),
        (Kind::Actuator, "drive", 0),
    ] {
        let found = model.index_of(kind, name);
        hold("the numbers of the kinds of names", found == Ok(wanted))?;
    }
    Ok(())
}

fn check_fields(model: &Model) -> Result<(), String> {
    let ten = |first: f64| [first, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    same("body_pos", &model.field(Field::BodyPos)[3..], &BODY)?;
    same("body_quat", &model.field(Field::BodyQuat)[4..], &TURNED)?;
    same("site_pos", model.field(Field::SitePos), &LOCAL_SITE)?;
    let [gain, bias] = ACTUATOR.map(ten);
    same("actuator_gainprm", model.field(Field::ActuatorGain), &gain)?;
    same("actuator_biasprm", model.field(Field::ActuatorBias), &bias)
}

/// The structs that MuJoCo draws with, as far as they can be seen without OpenGL.
fn check_drawing(model: &Model) -> Result<(), String> {
    same(
        "vis",
        &model.drawing().map(f64::from),
        &DRAWING.map(f64::from),
    )?;
    check_scene(model)?;
    let [option, perturb] = screen::defaults(model.api());
    let depth = option.int(layout::OPTION_DEPTH);
    hold("mjvOption", depth == 1 && option.is_contained())?;
    // the upper half of 1.0
    let scale = perturb.int(layout::PERTURB_SCALE + 4);
    hold("mjvPerturb", scale == 0x3ff0_0000 && perturb.is_contained())?;
    hold("mjrContext", screen::default_buffers(model.api()))
}

fn check_camera(model: &Model) -> Result<(), String> {
    let [azimuth, elevation] = ANGLES;
    let wanted = Camera {
        kind: 0,
        fixed_id: -1,
        track_body: -1,
        look_at: LOOK_AT,
        distance: 1.5 * EXTENT,
        azimuth,
        elevation,
        orthographic: 0,
    };
    hold("mjvCamera", screen::free_camera(model) == wanted)
}

fn check_scene(model: &Model) -> Result<(), String> {
    let scene = Scene::new(model, SHAPES).map_err(|error| error.to_string())?;
    let flags = (0..12).map(|flag| scene.block.byte(layout::scene::FLAGS + flag));
    let sizes = [layout::scene::MAX_SHAPES, layout::scene::SHAPES].map(|at| scene.block.int(at));
    // shadow, reflection, skybox, haze and face culling are on
    let as_made = flags.eq([1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0]);
    let kept = sizes == [SHAPES, 0] && scene.block.is_contained();
    hold("mjvScene", as_made && kept)
}

fn hold(what: &str, holds: bool) -> Result<(), String> {
    if holds {
        return Ok(());
    }
    Err(format!("self-test: {what} is not laid out as in 3.17.0"))
}

fn simulate(data: &mut Data) -> Result<(), EnvError> {
    data.set_state(state::QVEL, &[ANGULAR_VELOCITY])?;
    data.set_state(state::CTRL, &[CTRL])?;
    let mut forces = [0.0; 12];
    forces[6..9].copy_from_slice(&FORCE);
    data.set_state(state::XFRC_APPLIED, &forces)?;
    data.forward()?;
    data.step(0, true)?;
    data.set_state(state::QPOS, &[LATER_ANGLE])
}

fn check_data(data: &Data) -> Result<(), String> {
    same("qpos", data.qpos(), &[LATER_ANGLE])?;
    same("qvel", data.qvel(), &[ANGULAR_VELOCITY])?;
    same("ctrl", data.ctrl(), &[CTRL])?;
    same("xpos", &data.xpos()[3..], &BODY)?;
    same("xquat", &data.xquat()[4..], &TURNED)?;
    same("xipos", &data.xipos()[3..], &CENTRE)?;
    same("site_xpos", data.site_xpos(), &SITE)?;
    let [x, y, z] = SITE;
    same(
        "sensordata",
        data.sensordata(),
        &[x, y, z, ANGULAR_VELOCITY],
    )?;
    same("cinert", &data.cinert()[19..], &[MASS])?;
    same("cvel", &data.cvel()[6..9], &[0.0, -ANGULAR_VELOCITY, 0.0])?;
    let [gain, bias] = ACTUATOR;
    let force = GEAR * (gain * CTRL + bias);
    same("qfrc_actuator", data.qfrc_actuator(), &[force])?;
    same("qfrc_constraint", data.qfrc_constraint(), &[-FRICTION])?;
    same("cfrc_ext", &data.cfrc_ext()[9..], &FORCE)
}

fn same(what: &str, found: &[f64], wanted: &[f64]) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!(
        "self-test: {what} is {found:?} instead of {wanted:?}, so its memory layout is not that of 3.17.0"
    ))
}
